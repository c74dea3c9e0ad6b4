import Testing
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText

/// SmolLM2-135M-Instruct in Q4_1 against what transformers and tokenizers gave
/// (Tools/make-smollm2-fixtures.py); left out where the model has not been pulled.
@Suite(.serialized, .enabled(if: PulledModel.path != nil, "smollm2-135m-q4_1 has not been pulled"))
struct RealModelTests {
    static func fixture(_ name: String) throws -> JSONValue {
        let folder = Fixture.folder.split(separator: "/").dropLast().joined(separator: "/")
        return try JSONValue(parsing: Fixture.bytes("/\(folder)/\(name)"))
    }

    @Test func idsOfTokenizers() throws {
        let tokenizer = try Tokenizer(Checkpoint.open(#require(PulledModel.path)).tokenizer)
        let samples = try #require(try RealModelTests.fixture("smollm2-ids.json")["samples"]?.array)
        #expect(samples.count > 15)
        for sample in samples {
            let text = try #require(sample["text"]?.string)
            let ids = try #require(sample["ids"]?.array).map { TokenID($0.integer ?? -1) }
            #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
            #expect(tokenizer.decode(ids).utf8.elementsEqual(text.utf8))
        }
    }

    @Test func logitsOfTransformers() throws {
        let fixture = try RealModelTests.fixture("smollm2-logits.json")
        let ids = try #require(fixture["ids"]?.array).map { TokenID($0.integer ?? 0) }
        let loaded = try LoadedModel(opening: #require(PulledModel.path))
        var configuration = ModelRunner.Configuration(threads: 2)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = ids.count
        let runner = try ModelRunner(loaded.model, configuration)
        let sequence = runner.makeSequence(capacity: ids.count)
        runner.begin()
        try ids.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        var largest = 0.0
        for entry in try #require(fixture["positions"]?.array) {
            let position = try #require(entry["position"]?.integer)
            let logits = try runner.logits(rows: position..<position + 1)
            for (id, value) in zip(entry["ids"]?.array ?? [], entry["logits"]?.array ?? []) {
                largest = max(largest, abs(Double(logits[id.integer ?? 0]) - (value.number ?? .infinity)))
            }
        }
        print("largest difference from transformers in float32: \(largest)")
        #expect(largest > 0 && largest <= 2e-4)
    }
}
