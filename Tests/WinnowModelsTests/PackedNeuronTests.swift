import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

/// About two fifths of each block's neurons, drawn by lot.
private func someNeurons(_ model: LanguageModel, share: Double = 0.4, seed: UInt64 = 1) throws -> NeuronPlan {
    let scope = try NeuronScope(model, layers: 0...model.configuration.layers - 1)
    let policy = FixedNeurons.random(scope, try NeuronPredicate(beta: share), seed: seed)
    let runner = try makeRunner(model)
    return policy.plan(
        after: NeuronCounter(model, policy.predicate, layers: policy.layers, tokens: 0, on: runner.pool))
}

/// Sets the columns of down to zero that a plan leaves out, each matrix in its own grid.
private func mask(_ model: LanguageModel, _ plan: NeuronPlan) throws {
    let pool = try KernelPool(threads: 1)
    for (block, set) in zip(model.blocks, plan.layers) {
        guard let set, let down = block.feedForward?.down.weight else { continue }
        let stride = WeightMatrix.maskStride(columns: set.width)
        var bits = [UInt8](repeating: 0, count: down.matrix.rows * stride)
        for row in 0..<down.matrix.rows {
            for neuron in set.indices { bits[row * stride + neuron / 8] |= 1 << UInt8(neuron % 8) }
        }
        let kept = SparsityMask(
            rows: down.matrix.rows, columns: set.width, bytes: StorageSlice(copying: bits))
        down.replace(with: try down.matrix.masked(by: kept, on: pool, name: down.name))
    }
}

private func largest(_ a: [[Float]], _ b: [[Float]]) -> Float {
    zip(a, b).flatMap { zip($0, $1).map { abs($0 - $1) } }.max() ?? .infinity
}

@Suite struct PackedNeuronTests {
    /// Every neuron kept: the same bits as dense, in every format.
    @Test func allNeuronsGiveTheSameBits() throws {
        for format in WeightFormats.all where format.canEncode {
            for mode in ActivationMode.allCases {
                let model = try tinyModel(format)
                let runner = try makeRunner(model, mode: mode)
                let tokens = randomTokens(20)
                let dense = try allLogits(runner, tokens)
                let scope = try NeuronScope(model, layers: 0...1)
                let counter = NeuronCounter(
                    model, try NeuronPredicate(beta: 1), layers: 0...1, tokens: 20, on: runner.pool)
                try runner.read(tokens[...], into: runner.makeSequence(capacity: 32), counting: counter)
                for policy in [
                    CoreNeurons(scope, counter.predicate), AllNeurons(scope, counter.predicate),
                ] as [any NeuronPolicy] {
                    try runner.use(try runner.pack(try policy.plan(after: counter)))
                    #expect(try allLogits(runner, tokens) == dense, "\(format)")
                }
                let every = NeuronPlan(.dense, layers: scope.widths.map { NeuronSet(all: $0) })
                try runner.use(try runner.pack(every))
                #expect(try allLogits(runner, tokens) == dense, "\(format)")
            }
        }
    }

    /// Fewer neurons: what the whole network gives with their columns set to zero. Formats that keep columns as they
    /// are do so to the order of sums; others are rounded to 8 bits once.
    @Test func fewerNeuronsAreAMaskedNetwork() throws {
        for format in WeightFormats.all where format.canEncode {
            let model = try tinyModel(format)
            let plan = try someNeurons(model)
            let tokens = randomTokens(30)
            let runner = try makeRunner(model)
            let packed = try runner.pack(plan)
            #expect(packed.byteCount < packed.wholeByteCount)
            try runner.use(packed)
            let thinned = try allLogits(runner, tokens)
            let other = try tinyModel(format)
            try mask(other, plan)
            let expected = try ReferenceLlama(other).logits(tokens)
            let scale = expected.flatMap { $0.map(abs) }.max() ?? 0
            let isExact = format.isFloat || format == .int8
            #expect(
                largestDifference(thinned, expected) < (isExact ? 2e-4 : 0.02 * scale),
                "\(format): \(largestDifference(thinned, expected)) of \(scale)")
        }
    }

    /// Biases, networks without a gate, fused gates, norms after, parallel blocks, widths of their own.
    @Test(arguments: FamilyFixture.names) func familiesMatchMaskedNetworks(_ name: String) throws {
        let model = try LanguageModel(FamilyFixture(name).checkpoint)
        guard model.blocks.allSatisfy({ $0.feedForward != nil }) else {
            #expect(
                throws: NeuronError.hasExperts(architecture: model.configuration.architecture)
            ) { try NeuronScope(model) }
            return
        }
        let plan = try someNeurons(model)
        let tokens = try FamilyFixture(name).prompt
        let runner = try makeRunner(model, chunk: 16)
        let before = try allLogits(runner, tokens)
        try runner.use(try runner.pack(plan))
        let thinned = try allLogits(runner, tokens)
        try runner.use(nil)
        #expect(try allLogits(runner, tokens) == before)
        let other = try LanguageModel(FamilyFixture(name).checkpoint)
        try mask(other, plan)
        let expected = try allLogits(try makeRunner(other, chunk: 16), tokens)
        let scale = expected.flatMap { $0.map(abs) }.max() ?? 0
        #expect(
            largest(thinned, expected) < 2e-4 * max(scale, 1), "\(largest(thinned, expected)) of \(scale)")
        #expect(thinned != before)
    }

    @Test func bitsDoNotDependOnChunksOrThreads() throws {
        for format in [WeightFormat.q4_1, .int8, .f16] {
            let model = try tinyModel(format)
            let plan = try someNeurons(model)
            let results = try [(1, 1), (2, 5), (3, 16)].map { threads, chunk in
                let runner = try makeRunner(model, threads: threads, chunk: chunk, mode: .fast)
                try runner.use(try runner.pack(plan))
                return try allLogits(runner, randomTokens(24))
            }
            #expect(results[0] == results[1] && results[0] == results[2])
        }
    }

    /// Int8 columns stay int8, floats stay floats, what packs columns becomes Q8_0; masks stay.
    @Test func emptySetsAndOddCountsRun() throws {
        for format in [WeightFormat.f32, .int8, .q4_0, .int4, .maskedInt8, .maskedQ4_1] {
            let model = try tinyModel(format)
            let runner = try makeRunner(model)
            let tokens = randomTokens(9)
            for count in [0, 1, 31, 95] {
                let sets = (0..<2).map { _ in NeuronSet(width: 96, 0..<count) }
                let plan = NeuronPlan(.fixed("first"), layers: sets)
                let other = try tinyModel(format)
                try mask(other, plan)
                try runner.use(try runner.pack(plan))
                let expected = try ReferenceLlama(other).logits(tokens)
                let scale = expected.flatMap { $0.map(abs) }.max() ?? 0
                #expect(
                    largestDifference(try allLogits(runner, tokens), expected) < 0.02 * scale,
                    "\(format) \(count)")
            }
        }
    }

    @Test func replacedWeightsEndAPlan() throws {
        let model = try tinyModel(.f32)
        let runner = try makeRunner(model)
        let packed = try runner.pack(try someNeurons(model))
        try runner.use(packed)
        let up = try #require(model.blocks[0].feedForward?.up.weight)
        up.replace(with: try tinyModel(.int8).blocks[0].feedForward!.up.weight.matrix)
        let tokens = randomTokens(6)
        let expected = try ReferenceLlama(model).logits(tokens)
        #expect(largestDifference(try allLogits(runner, tokens), expected) < 2e-4)
        #expect(throws: NeuronError.weightsReplaced) { try runner.use(packed) }
    }

    @Test func columnsOfInt8AndHalvesStayAsTheyAre() throws {
        let pool = try KernelPool(threads: 2)
        let kept = [0, 3, 4, 40, 63, 95]
        for format in [WeightFormat.f32, .f16, .bf16, .int8] {
            let matrix = try tinyModel(format).blocks[0].feedForward!.down.weight.matrix
            let part = try matrix.selectingColumns(kept, on: pool)
            #expect(part.format == format && part.rows == matrix.rows && part.columns == kept.count)
            let whole = matrix.floats(on: pool)
            let expected = (0..<matrix.rows).flatMap { row in kept.map { whole[row * 96 + $0] } }
            #expect(part.floats(on: pool) == expected)
        }
        let matrix = try tinyModel(.q4_1).blocks[0].feedForward!.down.weight.matrix
        #expect(try matrix.selectingColumns(Array(32..<96), on: pool).format == .q4_1)
        let padded = try matrix.selectingColumns(kept, zeros: 2, on: pool)
        #expect(padded.format == .f32 && padded.columns == 8)
        #expect(padded.floats(rows: 1..<2, on: pool).suffix(2) == [0, 0])
    }
}
