import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTrain
import WinnowWeights

@Suite struct LowRankAdapterTests {
    private static func configuration(_ targets: [String] = ["all-linear"]) -> LowRankConfiguration {
        var configuration = LowRankConfiguration()
        configuration.rank = 3
        configuration.alpha = 6
        configuration.targets = targets
        return configuration
    }

    /// A base that is not trained, an adapter, and the twin of both.
    private static func adapted(_ name: String, _ pool: KernelPool) throws -> (
        LanguageModel, LowRankAdapter, DecoderTwin
    ) {
        let model = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/\(name)"))
        let adapter = try LowRankAdapter(configuration(), for: model, seed: 5)
        let twin = DecoderTwin(model, on: pool)
        adapter.attach(to: twin)
        return (model, adapter, twin)
    }

    private static func fill(_ adapter: LowRankAdapter) {
        var random = Random(seed: 9)
        for pair in adapter.pairs {
            for index in pair.up.values.indices { pair.up.values[index] = 0.05 * random.normal() }
        }
    }

    /// With B at zero the base answers; merged weights answer as base and adapter do together. Fused weights
    /// too.
    @Test(arguments: ["llama3", "phi3", "gpt2"]) func mergingKeepsTheAnswer(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let (model, adapter, twin) = try Self.adapted(name, pool)
        let batch = try TwinFixture(name).batch
        let plain = try DecoderTwin(model, on: pool).logits(batch).floats()!
        #expect(try twin.logits(batch).floats()! == plain)
        Self.fill(adapter)
        let adapted = try twin.logits(batch).floats()!
        #expect(zip(adapted, plain).contains { abs($0 - $1) > 0.01 })
        for parameter in model.parameters {
            guard case .matrix(let matrix) = parameter.value else { continue }
            parameter.replace(with: try adapter.merged(parameter.name, into: matrix, on: pool))
        }
        let merged = try DecoderTwin(model, on: pool).logits(batch).floats()!
        #expect(zip(adapted, merged).allSatisfy { abs($0 - $1) < 2e-4 })
    }

    /// Gradients of A and B are those that the gradient of W says: scale B^T dW, scale dW A^T.
    @Test(arguments: ["llama3", "phi3"]) func gradientsFollowThoseOfTheWeight(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let (_, adapter, twin) = try Self.adapted(name, pool)
        Self.fill(adapter)
        let batch = try TwinFixture(name).batch
        twin.context.backward(try twin.loss(batch))
        let full = try TwinFixture.model(name, on: pool)
        for parameter in full.parameters {
            guard case .matrix(let matrix) = parameter.value else { continue }
            parameter.replace(with: try adapter.merged(parameter.name, into: matrix, on: pool))
            parameter.beginTraining(on: pool)
        }
        let other = DecoderTwin(full, on: pool)
        other.context.backward(try other.loss(batch))
        for pair in adapter.pairs {
            let weight = full.parameters.first { $0.name == pair.name }!.training!
            let (rank, inputs) = (pair.down.rows, pair.down.columns)
            for _ in 0..<1 {
                var expected = [Double](repeating: 0, count: pair.up.count)
                for row in 0..<weight.rows {
                    for r in 0..<rank {
                        for column in 0..<inputs {
                            expected[row * rank + r] +=
                                2 * Double(weight.gradients[row * inputs + column])
                                * Double(pair.down.values[r * inputs + column])
                        }
                    }
                }
                let scale = expected.map(abs).max()! + 1e-3
                for index in expected.indices {
                    #expect(
                        abs(Double(pair.up.gradients[index]) - expected[index]) < 2e-4 * scale, "\(pair.name)"
                    )
                }
            }
        }
    }

    /// A folder read back is the same adapter; what does not fit is refused by name.
    @Test func foldersComeBack() throws {
        let folder = try RunFolder()
        let pool = try KernelPool(threads: 1)
        let (model, adapter, _) = try Self.adapted("llama3", pool)
        Self.fill(adapter)
        let path = folder.path("adapter")
        try adapter.write(to: path, base: "llama3", configuration: model.configuration, overwrite: false)
        let read = try LowRankAdapter(reading: path, for: model)
        #expect(read.configuration.rank == 3 && read.configuration.scale == 2)
        #expect(read.pairs.map(\.name) == adapter.pairs.map(\.name))
        for (a, b) in zip(read.parameters, adapter.parameters) {
            #expect(a.values.map(\.bitPattern) == b.values.map(\.bitPattern))
        }
        let other = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/qwen3"))
        #expect(throws: AdapterError.self) { _ = try LowRankAdapter(reading: path, for: other) }
    }

    @Test func aTargetThatIsNotThere() throws {
        let model = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        let expected = TrainingError.badValue(
            key: "targets", value: "w1",
            expected: "all-linear or parts of names such as model.layers.0.self_attn.q_proj.weight")
        #expect(throws: expected) {
            _ = try LowRankAdapter(Self.configuration(["q_proj", "w1"]), for: model, seed: 0)
        }
    }

    /// Training an adapter changes nothing of its base, and merging keeps pruned weights at zero.
    @Test func masksOutliveTheMerge() throws {
        let pool = try KernelPool(threads: 2)
        let model = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        let query = model.blocks[1].attention.query.weight
        let mask = SparsityMask(rows: query.matrix.rows, columns: query.matrix.columns) {
            ($0 * 5 + $1) % 4 != 0
        }
        query.replace(with: try query.matrix.masked(by: mask, on: pool, name: "q"))
        let before = query.matrix.floats(on: pool)
        let adapter = try LowRankAdapter(Self.configuration(), for: model, seed: 2)
        var configuration = TrainerTests.configuration(steps: 25)
        configuration.learningRate = .constant(1e-2)
        let trainer = try Trainer(model, configuration, data: TrainerTests.data(), on: pool, adapter: adapter)
        let batches = try TrainerTests.data().inOrder(most: 8)
        let first = try trainer.evaluate(batches)
        for _ in 0..<25 { _ = try trainer.takeStep() }
        #expect(try trainer.evaluate(batches) < 0.95 * first)
        #expect(query.matrix.floats(on: pool) == before)
        let merged = try adapter.merged(query.name, into: query.matrix, on: pool)
        #expect(merged.zeros(on: pool) >= mask.prunedCount)
        let values = merged.floats(on: pool)
        for row in 0..<mask.rows {
            for column in 0..<mask.columns where !mask[row, column] {
                #expect(values[row * mask.columns + column] == 0)
            }
        }
    }
}
