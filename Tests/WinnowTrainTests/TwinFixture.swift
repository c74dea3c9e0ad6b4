import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTrain

/// What PyTorch makes of a batch on a tiny model of a family (`Tools/make-training-fixtures.py`).
struct TwinFixture {
    static let names = [
        "llama3", "mistral", "qwen2", "qwen2-window", "qwen3", "gemma2", "gemma3", "gemma3-odd", "phi3",
        "phi3-long",
        "gpt2", "opt", "gemma", "phi3-partial", "starcoder2", "olmo2", "granite", "gpt-neox", "stablelm",
        "stablelm-parallel", "mixtral", "qwen2-moe", "qwen2-moe-mixed", "qwen3-moe",
        "bert", "roberta",
    ]

    static let decoders = names.filter { !["bert", "roberta"].contains($0) }

    let batch: DecoderBatch
    let loss: Double
    let gradients: [(name: String, norm: Double, samples: [Double])]
    let prime: Int
    let rate: Double
    let beta2: Double
    let decay: Double
    let losses: [Double]

    static var folder: String {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/families"
    }

    init(_ name: String) throws {
        let file = try Storage.mapping("\(TwinFixture.folder)/\(name)/training.json")
        let json = try JSONValue(
            parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)))
        func numbers(_ value: JSONValue?) -> [Double] { value?.array?.compactMap(\.number) ?? [] }
        let rows = json["ids"]!.array!.map { numbers($0).map { Int32($0) } }
        if let targets = json["targets"]?.array {
            // Of an encoder: what stood in the places that are asked for.
            batch = DecoderBatch(
                sequences: rows.count, length: rows[0].count, ids: rows.flatMap { $0 },
                targets: targets.flatMap { numbers($0).map { Int32($0) } })
        } else {
            batch = DecoderBatch(windows: rows)
        }
        loss = json["loss"]!.number!
        prime = json["prime"]!.integer!
        gradients = json["gradients"]!.object!.pairs.map {
            ($0.key, $0.value["norm"]!.number!, numbers($0.value["samples"]))
        }
        let adam = json["adamw"]!
        rate = adam["rate"]!.number!
        beta2 = adam["beta2"]!.number!
        decay = adam["decay"]!.number!
        losses = numbers(adam["losses"])
    }

    static func model(_ name: String, on pool: KernelPool) throws -> LanguageModel {
        let model = try LanguageModel(Checkpoint.open("\(folder)/\(name)"))
        for parameter in model.parameters { parameter.beginTraining(on: pool) }
        return model
    }
}
