import Testing
import WinnowCompress
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

@Suite struct AWQTests {
    private static let families: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/families"
    }()

    private func logits(_ model: LanguageModel) throws -> [Float] {
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.logitRows = 20
        let runner = try ModelRunner(model, configuration)
        runner.begin()
        let tokens = (0..<20).map { TokenID(3 + $0 * 37 % 55) }
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: runner.makeSequence(capacity: 32)) }
        try runner.run()
        return try Array(runner.logits(rows: 0..<20))
    }

    /// Scales that go into a norm or into rows, and out of columns, leave the model's outputs alone.
    @Test(arguments: ["llama3", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "opt"])
    func foldedScalesChangeNoOutput(_ name: String) throws {
        let model = try LanguageModel(Checkpoint.open("\(AWQTests.families)/\(name)"))
        let before = try logits(model)
        let pool = try KernelPool(threads: 1)
        var random = Random(seed: 5)
        var folded = 0
        for block in model.blocks {
            for group in ScalableBlock(
                block, form: .int8, isParallel: model.configuration.traits.isParallel, on: pool
            ).groups {
                let width = block.linears.first { $0.input == group.input }!.parameter.matrix.columns
                try group.fold((0..<width).map { _ in 0.5 + 2 * Double(random.uniform()) }, on: pool)
                folded += 1
            }
        }
        #expect(folded >= 2 * model.blocks.count)
        let largest = before.map(abs).max()!
        for (a, b) in zip(before, try logits(model)) { #expect(abs(a - b) < 2e-4 * largest) }
    }

    @Test func losesLessThanRoundingWhereChannelsDiffer() throws {
        let pool = try KernelPool(threads: 1)
        func loss(_ name: String) throws -> (Double, LanguageModel) {
            let model = try TinyLlama.model("tied")
            // A few loud channels, as trained models have them.
            for block in model.blocks {
                let norm = try #require(block.attentionNorm)
                let weights = (norm.weight.vector.floats() ?? []).enumerated().map {
                    $0.offset % 16 == 3 ? $0.element * 30 : $0.element
                }
                norm.weight.replace(with: Tensor(weights))
                block.feedForwardNorm?.weight.replace(with: Tensor(weights))
            }
            let before = try logits(model)
            var pruner = SequentialPruner(try method(name), threads: 2)
            pruner.store = .int4(group: 32)
            let report = try pruner.prune(model, windows: TinyLlama.windows(3, length: 40))
            #expect(report.formats == ["int4"])
            #expect(report.layers.allSatisfy { $0.formatBefore == "f32" && $0.bytesBefore == $0.count * 4 })
            return (
                zip(before, try logits(model)).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }, model
            )
        }
        let (plain, _) = try loss("rtn")
        let (scaled, model) = try loss("awq")
        #expect(scaled < plain)
        _ = (model, pool)
    }

    @Test func cancelledWorkLeavesTheNormsAlone() throws {
        let model = try TinyLlama.model("tied-q4_0.gguf")
        let before = try logits(model)
        let flag = CancellationFlag()
        var pruner = SequentialPruner(try method("awq"), threads: 1)
        pruner.store = .int4(group: 32)
        #expect(throws: PruningError.cancelled) {
            _ = try pruner.prune(model, windows: TinyLlama.windows(2, length: 20), cancellation: flag) {
                done, _ in
                if done == 1 { flag.cancel() }
            }
        }
        #expect(try logits(model) == before)
    }

    @Test func masksStay() throws {
        let model = try TinyLlama.model("tied-q8_0.gguf")
        _ = try SequentialPruner(try method("wanda"), threads: 2).prune(
            model, windows: TinyLlama.windows(3, length: 40))
        let masks = PrunableLayers(model).layers.map { $0.parameter.matrix.mask }
        var pruner = SequentialPruner(try method("awq"), threads: 2)
        pruner.store = .int4(group: 32)
        _ = try pruner.prune(model, windows: TinyLlama.windows(3, length: 40))
        for (layer, mask) in zip(PrunableLayers(model).layers, masks) {
            let own = try #require(layer.parameter.matrix.mask)
            #expect(own.isSubset(of: try #require(mask)))
            #expect(layer.parameter.matrix.format.name == "masked-int4")
        }
    }
}
