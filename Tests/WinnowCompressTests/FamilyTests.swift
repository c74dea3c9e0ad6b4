import Testing
import WinnowCompress
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

/// Pruning and writing models of every family: the folders of `Tools/make_families.py`.
@Suite struct FamilyTests {
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/families"
    }()

    static let families = [
        "llama3", "mistral", "mixtral", "qwen2", "qwen2-moe", "qwen2-moe-mixed", "qwen3", "qwen3-moe",
        "gemma2", "gemma3",
        "phi3", "gpt2", "opt", "gpt-neox", "starcoder2", "olmo2", "granite", "stablelm-parallel", "layered",
        "bert", "modernbert",
    ]

    private static func open(_ name: String) throws -> Checkpoint { try Checkpoint.open("\(folder)/\(name)") }

    /// Logits of every position in float32; of an encoder its last states.
    private static func logits(_ model: LanguageModel) throws -> [Float] {
        let tokens = (0..<28).map { TokenID(3 + $0 * 37 % 55) }
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = 32
        configuration.logitRows = 32
        let runner = try ModelRunner(model, configuration)
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: runner.makeSequence(capacity: 64)) }
        try runner.run()
        guard model.hasHead else { return Array(runner.states()) }
        return try Array(runner.logits(rows: 0..<28))
    }

    @Test(arguments: families)
    func magnitudePrunesTheLinearsAndNothingElse(_ name: String) throws {
        let checkpoint = try FamilyTests.open(name)
        let model = try LanguageModel(checkpoint)
        let report = try SequentialPruner(try Magnitude(.init()), threads: 1).prune(model)
        let pool = try KernelPool(threads: 1)
        let layers = PrunableLayers(model)
        #expect(
            layers.layers.map(\.name)
                == checkpoint.names(where: checkpoint.configuration.isBlockLinear, of: model))
        #expect(abs(Double(layers.zeros(on: pool)) / Double(layers.weightCount) - 0.5) < 0.02)
        #expect(report.layers.count == layers.layers.count)
        // Written and opened again it is the same model: masked matrices, biases, norms.
        let expected = try FamilyTests.logits(model)
        try TemporaryFolder.with { folder in
            var values: [String: CheckpointTensor] = [:]
            model.visit { parameter in
                switch parameter.value {
                case .matrix(let matrix): values[parameter.name] = .matrix(matrix)
                case .vector(let vector): values[parameter.name] = .vector(vector)
                }
            }
            try CheckpointWriter("\(folder)/pruned").write(checkpoint) { try #require(values[$0]) }
            let again = try LanguageModel(Checkpoint.open("\(folder)/pruned"))
            #expect(try FamilyTests.logits(again) == expected)
            #expect(PrunableLayers(again).zeros(on: pool) == layers.zeros(on: pool))
        }
    }

    /// An expert that no calibration token went to is named, and the model is left as it was.
    @Test func unseenExpertsAreRefused() throws {
        let model = try LanguageModel(try FamilyTests.open("qwen3-moe"))
        let before = PrunableLayers(model).layers.map(\.parameter.matrix)
        #expect {
            try SequentialPruner(try method("wanda"), threads: 1).prune(model, windows: [[5]])
        } throws: { error in
            guard case PruningError.expertUnseen(let layer) = error else { return false }
            return layer.contains(".mlp.experts.")
        }
        #expect(zip(before, PrunableLayers(model).layers).allSatisfy { $0 === $1.parameter.matrix })
    }

    /// Every point that a method observes has the width of the layers that read it.
    @Test(arguments: families)
    func wandaPrunesHalf(_ name: String) throws {
        let model = try LanguageModel(try FamilyTests.open(name))
        func window(_ first: Int) -> [TokenID] { (0..<40).map { TokenID(3 + (first + $0 * 29) % 55) } }
        let windows = [window(0), window(11)]
        _ = try SequentialPruner(try method("wanda"), threads: 1).prune(model, windows: windows)
        let layers = PrunableLayers(model)
        let zeros = Double(layers.zeros(on: try KernelPool(threads: 1)))
        #expect(abs(zeros / Double(layers.weightCount) - 0.5) < 0.02)
    }
}

extension Checkpoint {
    /// The model's names, in its order, that a rule picks.
    fileprivate func names(where isWanted: (String) -> Bool, of model: LanguageModel) -> [String] {
        var names: [String] = []
        model.visit { if isWanted($0.name) { names.append($0.name) } }
        return names
    }
}
