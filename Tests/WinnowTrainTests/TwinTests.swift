import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTrain
import WinnowWeights

@Suite struct TwinTests {
    @Test(arguments: TwinFixture.names) func gradientsArePyTorchs(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let fixture = try TwinFixture(name)
        let model = try TwinFixture.model(name, on: pool)
        let twin = DecoderTwin(model, on: pool)
        let loss = try twin.loss(fixture.batch)
        #expect(abs(Double(loss.scalar) - fixture.loss) < 2e-6 * fixture.loss)
        twin.context.backward(loss)
        let parameters = model.parameters
        #expect(parameters.count == fixture.gradients.count)
        for (name, norm, samples) in fixture.gradients {
            let training = try #require(parameters.first { $0.name == name }?.training, "\(name)")
            var gradient = Array(training.gradients)
            // Folders may hold rows in another order.
            if let order = model.configuration.writtenRowOrder(of: name) {
                let columns = gradient.count / order.count
                gradient = order.flatMap { training.gradients[$0 * columns..<($0 + 1) * columns] }
            }
            let own = gradient.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            // The bias of keys moves no score: its gradient is rounding alone.
            let rounding = 2e-3
            #expect(abs(own - norm) < 1e-4 * (norm + rounding), "\(name)")
            let scale = samples.reduce(0) { $0 + $1 * $1 }.squareRoot() + rounding
            var error = 0.0
            for (index, sample) in samples.enumerated() {
                let at = samples.count == gradient.count ? index : index * fixture.prime % gradient.count
                error += (Double(gradient[at]) - sample) * (Double(gradient[at]) - sample)
            }
            #expect(error.squareRoot() < 1e-4 * scale, "\(name)")
        }
    }

    @Test(arguments: TwinFixture.names) func tenStepsFollowPyTorch(_ name: String) throws {
        let pool = try KernelPool(threads: 1)
        let fixture = try TwinFixture(name)
        let model = try TwinFixture.model(name, on: pool)
        let twin = DecoderTwin(model, on: pool)
        let trained = model.parameters.compactMap(\.training)
        var configuration = OptimizerConfiguration(.adamw)
        configuration.beta2 = fixture.beta2
        configuration.weightDecay = fixture.decay
        let optimizer = try ModelOptimizer(
            configuration, parameters: trained.map { ParameterDescription(name: $0.name, shape: $0.shape) })
        for expected in fixture.losses {
            for parameter in trained { parameter.clearGradient() }
            let loss = try twin.loss(fixture.batch)
            #expect(abs(Double(loss.scalar) - expected) < 1e-4 * expected)
            twin.context.backward(loss)
            optimizer.step(trained.map(\.slot), rate: fixture.rate, pool: pool)
        }
    }

    /// Blocks that run again, micro-batches that add up, and threads change no gradient (or hardly).
    @Test(arguments: ["llama3", "gemma2", "gpt2", "gpt-neox", "qwen2-moe"]) func waysToTheSameGradient(
        _ name: String
    ) throws {
        let fixture = try TwinFixture(name)
        func gradients(
            threads: Int, recomputes: Bool = false, split: Bool = false
        ) throws -> (all: [[Float]], peak: Int) {
            let pool = try KernelPool(threads: threads)
            let model = try TwinFixture.model(name, on: pool)
            let twin = DecoderTwin(model, on: pool)
            twin.recomputesBlocks = recomputes
            let length = fixture.batch.length
            let parts =
                split
                ? (0..<2).map { part in
                    DecoderBatch(
                        sequences: 1, length: length,
                        ids: Array(fixture.batch.ids[part * length..<(part + 1) * length]),
                        targets: Array(fixture.batch.targets[part * length..<(part + 1) * length]))
                } : [fixture.batch]
            for part in parts { twin.context.backward(try twin.loss(part, scale: 1 / Float(parts.count))) }
            return (model.parameters.map { Array($0.training!.gradients) }, twin.context.memory.peakBytes)
        }
        let plain = try gradients(threads: 1)
        #expect(try gradients(threads: 3).all == plain.all)
        let recomputed = try gradients(threads: 2, recomputes: true)
        #expect(recomputed.all == plain.all)
        #expect(recomputed.peak < plain.peak)
        let split = try gradients(threads: 2, split: true)
        for (a, b) in zip(split.all, plain.all) {
            let scale = b.map(abs).max()! + 1e-4
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 * scale })
        }
    }

    /// Products of bfloat16: the same bits for any number of threads, near those of float32 and not equal to them.
    @Test(arguments: ["llama3", "gemma2", "gpt2", "qwen2-moe"]) func gradientsOfBfloat16Products(
        _ name: String
    ) throws {
        let fixture = try TwinFixture(name)
        func gradients(_ precision: ProductPrecision, threads: Int) throws -> [[Float]] {
            let pool = try KernelPool(threads: threads)
            let model = try TwinFixture.model(name, on: pool)
            let twin = DecoderTwin(model, on: pool)
            twin.context.precision = precision
            twin.context.backward(try twin.loss(fixture.batch))
            return model.parameters.map { Array($0.training!.gradients) }
        }
        let exact = try gradients(.float32, threads: 2)
        let rounded = try gradients(.bfloat16, threads: 1)
        #expect(try gradients(.bfloat16, threads: 3) == rounded)
        var squares = (difference: 0.0, all: 0.0)
        for (a, b) in zip(rounded, exact) {
            for (x, y) in zip(a, b) {
                squares.difference += Double(x - y) * Double(x - y)
                squares.all += Double(y) * Double(y)
            }
        }
        // A rounding to 8 bits is off by 2^-10 or so in the mean; a few tens of products follow one another.
        let error = (squares.difference / squares.all).squareRoot()
        #expect(error > 1e-4)
        #expect(error < 6e-2, "\(error)")
    }

    /// Documents packed into one sequence train as each on its own.
    @Test(arguments: ["llama3", "gpt2"]) func packedDocumentsDoNotSeeEachOther(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let twin = DecoderTwin(try TwinFixture.model(name, on: pool), on: pool)
        let ids = Array(try TwinFixture(name).batch.ids.prefix(20))
        let packed = DecoderBatch(
            sequences: 1, length: 20, ids: ids, targets: [Int32](repeating: -1, count: 20),
            starts: [Int32](repeating: 0, count: 8) + [Int32](repeating: 8, count: 12))
        let whole = try twin.logits(packed).floats()!
        let second = try twin.logits(
            DecoderBatch(
                sequences: 1, length: 12, ids: Array(ids[8...]), targets: [Int32](repeating: -1, count: 12))
        ).floats()!
        #expect(zip(whole.suffix(second.count), second).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    /// A model whose blocks have shapes of their own, which no other program here opens: the logits are those that
    /// it was made with.
    @Test func blocksOfTheirOwnShapes() throws {
        let pool = try KernelPool(threads: 2)
        let model = try TwinFixture.model("layered", on: pool)
        let file = try Storage.mapping("\(TwinFixture.folder)/layered/expected.json")
        let json = try JSONValue(
            parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)))
        let prompt = json["prompt"]!.array!.map { Int32($0.integer!) }
        let twin = DecoderTwin(model, on: pool)
        let batch = DecoderBatch(sequences: 1, length: prompt.count, ids: prompt, targets: prompt)
        let logits = try twin.logits(batch).floats()!
        let vocabulary = model.configuration.vocabularySize
        for (row, expected) in zip(json["rows"]!.array!, json["logits"]!.array!) {
            let own = logits[row.integer! * vocabulary..<(row.integer! + 1) * vocabulary]
            for (a, b) in zip(own, expected.array!) { #expect(abs(Double(a) - b.number!) < 2e-4) }
        }
        twin.context.backward(try twin.loss(batch))
        for parameter in model.parameters {
            #expect(parameter.training!.gradients.contains { $0 != 0 }, "\(parameter.name)")
        }
    }

    @Test func modelsThatCannotBeTrained() throws {
        let pool = try KernelPool(threads: 1)
        let one = DecoderBatch(sequences: 1, length: 2, ids: [3, 4], targets: [4, 5])
        for (name, feature) in [("mpnet", "its scores know distances"), ("vit", "it reads images")] {
            let model = try TwinFixture.model(name, on: pool)
            #expect(throws: ModelError.cannotTrain(architecture: name, feature: feature)) {
                _ = try DecoderTwin(model, on: pool).loss(one)
            }
        }
        #expect(throws: ModelError.self) {
            try TrainerTests.trainer(TrainerTests.configuration(), name: "bert")
        }
    }

    /// A mask of whole columns: the same loss and gradients, where weights are kept, as with every column multiplied.
    @Test(arguments: ["llama3", "gpt2", "bert"]) func prunedColumnsAreLeftOut(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let fixture = try TwinFixture(name)
        func run(skips: Bool) throws -> (loss: Float, gradients: [[Float]], skipped: Int) {
            let model = try TwinFixture.model(name, on: pool)
            for linear in model.blocks.flatMap(\.linears) {
                guard let training = linear.parameter.training else { continue }
                training.setMask(
                    SparsityMask(rows: training.rows, columns: training.columns) { row, column in
                        column % 5 == 1 && (row + column) % 3 != 0
                    })
            }
            let twin = DecoderTwin(model, on: pool)
            twin.skipsPrunedColumns = skips
            let loss = try twin.loss(fixture.batch)
            twin.context.backward(loss)
            let trained = model.parameters.compactMap(\.training)
            for training in trained { training.applyMask() }
            return (loss.scalar, trained.map { Array($0.gradients) }, trained.count { $0.keptColumns != nil })
        }
        let (few, all) = (try run(skips: true), try run(skips: false))
        #expect(few.skipped > 4)
        #expect(abs(few.loss - all.loss) < 1e-5 * all.loss)
        for (a, b) in zip(few.gradients, all.gradients) {
            let scale = b.map(abs).max()! + 1e-3
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 * scale })
        }
    }

    /// Texts of different lengths in one batch: what fills a shorter one up is not seen, and asks for nothing.
    @Test func shorterTextsOfABatch() throws {
        let pool = try KernelPool(threads: 2)
        func gradients(_ batches: [DecoderBatch]) throws -> [[Float]] {
            let model = try TwinFixture.model("bert", on: pool)
            let twin = DecoderTwin(model, on: pool)
            let scored = batches.reduce(0) { $0 + $1.scored }
            for batch in batches { twin.context.backward(try twin.loss(batch, dividingBy: scored)) }
            return model.parameters.map { Array($0.training!.gradients) }
        }
        let (long, short): ([Int32], [Int32]) = ([5, 9, 12, 7, 30, 11], [8, 6, 21])
        let apart = try gradients([
            DecoderBatch(sequences: 1, length: 6, ids: long, targets: [-1, 9, -1, -1, 4, -1]),
            DecoderBatch(sequences: 1, length: 3, ids: short, targets: [7, -1, 3]),
        ])
        let together = try gradients([
            DecoderBatch(
                sequences: 2, length: 6, ids: long + short + [0, 0, 0],
                targets: [-1, 9, -1, -1, 4, -1, 7, -1, 3, -1, -1, -1],
                ends: [6, 6, 6, 6, 6, 6, 3, 3, 3, 6, 6, 6])
        ])
        for (a, b) in zip(together, apart) {
            // The biases of keys have rounding alone for a gradient.
            let scale = b.map(abs).max()! + 1e-2
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 2e-5 * scale })
        }
    }

    /// The frozen parts of a model run packed, and gradients pass through them.
    @Test func frozenMatricesPassGradientsOn() throws {
        let pool = try KernelPool(threads: 2)
        let fixture = try TwinFixture("llama3")
        let model = try TwinFixture.model("llama3", on: pool)
        let twin = DecoderTwin(model, on: pool)
        twin.context.backward(try twin.loss(fixture.batch))
        let full = Array(model.embedding.training!.gradients)
        let frozen = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        frozen.embedding.beginTraining(on: pool)
        let other = DecoderTwin(frozen, on: pool)
        other.context.backward(try other.loss(fixture.batch))
        let scale = full.map(abs).max()!
        #expect(zip(frozen.embedding.training!.gradients, full).allSatisfy { abs($0 - $1) < 1e-6 * scale })
    }

    @Test func batchesThatDoNotFit() throws {
        let pool = try KernelPool(threads: 1)
        let twin = DecoderTwin(try TwinFixture.model("gpt2", on: pool), on: pool)
        let outside = DecoderBatch(sequences: 1, length: 2, ids: [1, 61], targets: [2, 2])
        #expect(throws: ModelError.tokenOutOfRange(id: 61, vocabulary: 61)) { _ = try twin.loss(outside) }
        let long = [Int32](repeating: 1, count: 161)
        #expect(throws: ModelError.promptTooLong(tokens: 161, context: 160)) {
            _ = try twin.loss(DecoderBatch(sequences: 1, length: 161, ids: long, targets: long))
        }
    }
}
