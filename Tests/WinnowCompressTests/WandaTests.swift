import Testing
import WinnowCompress
import WinnowCore
import WinnowJSON
import WinnowModels
import WinnowWeights

/// One layer of float32 weights with the statistics of given inputs, and the mask that a method makes.
private struct LayerCase {
    let rows: Int
    let columns: Int
    var weights: [Float]
    /// `[tokens, columns]`.
    var inputs: [Float]

    /// Seeded normal weights and inputs whose channels differ in size.
    init(rows: Int = 8, columns: Int = 16, tokens: Int = 24, seed: UInt64) {
        var random = Random(seed: seed)
        self.rows = rows
        self.columns = columns
        weights = (0..<rows * columns).map { _ in random.normal() }
        inputs = (0..<tokens * columns).map { random.normal() * Float(1 + $0 % columns) }
    }

    init(weights: [[Float]], sumOfSquares: [Float]) {
        rows = weights.count
        columns = weights[0].count
        self.weights = weights.flatMap { $0 }
        inputs = sumOfSquares.map { $0.squareRoot() }
    }

    var sumOfSquares: [Double] {
        var sums = [Double](repeating: 0, count: columns)
        for (index, value) in inputs.enumerated() { sums[index % columns] += Double(value) * Double(value) }
        return sums
    }

    func mask(_ name: String, _ settings: (String, String)..., threads: Int = 2) throws -> SparsityMask {
        let pool = try KernelPool(threads: threads)
        let matrix = try WeightMatrix(
            format: .f32, rows: rows, columns: columns, parts: .init(values: StorageSlice(copying: weights)),
            name: "w")
        var statistics = ActivationStatistics(width: columns, .squares)
        inputs.withUnsafeBufferPointer {
            statistics.add(
                TapValues(
                    point: .attentionInput, base: $0.baseAddress!, stride: columns,
                    tokens: inputs.count / columns, width: columns),
                on: pool)
        }
        let made = try method(name, settings)
        var layer = LinearWeights(name: "w", matrix: matrix, on: pool)
        var target = LayerTarget(goal: made.goal, seed: 0)
        _ = try made.apply(to: &layer, target: &target, statistics: statistics)
        return try #require(layer.mask)
    }
}

@Suite struct WandaTests {
    private let fixture = LayerCase(
        weights: [
            [0.5, -0.2, 0.1, 0.4, -0.3, 0.05, 0.6, -0.7], [0.1, 0.2, -0.3, 0.4, 0.5, -0.6, 0.7, 0.8],
        ],
        sumOfSquares: [1, 16, 100, 1, 4, 400, 0.25, 0.01])

    private func keptColumns(_ mask: SparsityMask, _ row: Int) -> [Int] {
        (0..<mask.columns).filter { mask[row, $0] }
    }

    @Test func workedFixture() throws {
        for settings in [("sparsity", "0.5"), ("pattern", "2:4")] {
            let mask = try fixture.mask("wanda", settings)
            #expect(keptColumns(mask, 0) == [1, 2, 4, 5])
            #expect(keptColumns(mask, 1) == [1, 2, 4, 5])
        }
        let magnitude = try fixture.mask("magnitude", ("sparsity", "0.5"), ("scope", "row"))
        #expect(keptColumns(magnitude, 0) == [0, 3, 6, 7])
        #expect(keptColumns(magnitude, 1) == [4, 5, 6, 7])
    }

    @Test(arguments: 1...20)
    func masksEqualBruteForceInFloat64(_ seed: Int) throws {
        let layer = LayerCase(seed: UInt64(seed))
        let weights = layer.weights.map(Double.init)
        for sparsity in [0.25, 0.5, 0.6] {
            let mask = try layer.mask("wanda", ("sparsity", "\(sparsity)"))
            #expect(mask.flags == Naive.wandaByRow(weights, layer.sumOfSquares, sparsity: sparsity))
            #expect((0..<8).allSatisfy { mask.keptCount(row: $0) == 16 - Int(16 * sparsity) })
        }
        for (n, m) in [(2, 4), (4, 8), (1, 4)] {
            let mask = try layer.mask("wanda", ("pattern", "\(n):\(m)"))
            #expect(mask.flags == Naive.wandaNOfM(weights, layer.sumOfSquares, n: n, m: m))
            #expect(mask.keptCount == 8 * 16 * n / m)
        }
    }

    /// Blocks of a row, by the root of their sum of squares; counts are of blocks.
    @Test(arguments: 1...20)
    func blocksEqualBruteForceInFloat64(_ seed: Int) throws {
        let layer = LayerCase(seed: UInt64(seed))
        let squares = layer.sumOfSquares
        for (unit, sparsity) in [(4, 0.25), (4, 0.5), (2, 0.6), (8, 0.5)] {
            for method in ["wanda", "magnitude"] {
                let mask = try layer.mask(
                    method, ("sparsity", "\(sparsity)"), ("pattern", "1x\(unit)"), ("scope", "row"))
                for row in 0..<8 {
                    let scores = (0..<16 / unit).map { block in
                        Naive.norm(
                            (block * unit..<(block + 1) * unit).map {
                                Double(
                                    abs(layer.weights[row * 16 + $0])
                                        * (method == "wanda" ? Float(Double(squares[$0]).squareRoot()) : 1))
                            }[...])
                    }
                    let flags = Naive.kept(
                        scores.map { Double(Float($0)) }, pruned: Int(Double(16 / unit) * sparsity))
                    for column in 0..<16 {
                        #expect(mask[row, column] == flags[column / unit], "\(method) 1x\(unit)")
                    }
                }
            }
        }
        let whole = try layer.mask("magnitude", ("sparsity", "0.5"), ("pattern", "1x4"), ("scope", "matrix"))
        #expect(whole.keepsBlocks(of: 4) && whole.keptCount == 64)
        #expect(throws: WeightError.unevenBlocks(name: "w", columns: 16, blockWidth: 5)) {
            try layer.mask("wanda", ("pattern", "1x5"))
        }
        #expect(throws: ConfigurationError.self) { try layer.mask("dsnot", ("pattern", "1x4")) }
        #expect(SparsityPattern("1x4") == .blocks(columns: 4) && SparsityPattern("1x1") == nil)
        #expect(SparsityPattern("1x65") == nil && SparsityPattern("2x4") == nil)
    }

    @Test func scalingInputsOrARowChangesNothing() throws {
        var layer = LayerCase(seed: 31)
        let mask = try layer.mask("wanda")
        layer.inputs = layer.inputs.map { $0 * 3 }
        #expect(try layer.mask("wanda") == mask)
        for column in 0..<16 { layer.weights[2 * 16 + column] *= 7 }
        #expect(try layer.mask("wanda") == mask)
    }

    @Test func aLoudChannelIsKeptInEveryRow() throws {
        var layer = LayerCase(seed: 32)
        for index in layer.inputs.indices where index % 16 == 5 { layer.inputs[index] *= 1000 }
        let mask = try layer.mask("wanda")
        #expect((0..<8).allSatisfy { mask[$0, 5] })
    }

    @Test func equalChannelsMakeItMagnitude() throws {
        var layer = LayerCase(seed: 33)
        for index in layer.inputs.indices { layer.inputs[index] = index / 16 % 2 == 0 ? 1.5 : -1.5 }
        #expect(try layer.mask("wanda") == layer.mask("magnitude", ("scope", "row")))
    }

    @Test func deadChannelsGoFirst() throws {
        var layer = LayerCase(seed: 34)
        for index in layer.inputs.indices where index % 16 < 4 { layer.inputs[index] = 0 }
        let mask = try layer.mask("wanda", ("sparsity", "0.25"))
        for row in 0..<8 { #expect(keptColumns(mask, row) == Array(4..<16)) }
    }

    /// For inputs whose channels are orthogonal, no other mask of a row with as many zeros loses less of its output.
    @Test func optimalForADiagonalGram() throws {
        var layer = LayerCase(rows: 1, columns: 16, tokens: 16, seed: 35)
        for index in layer.inputs.indices where index / 16 != index % 16 { layer.inputs[index] = 0 }
        let mask = try layer.mask("wanda")
        let squares = layer.sumOfSquares
        for row in 0..<1 {
            let costs = (0..<16).map {
                Double(layer.weights[row * 16 + $0]) * Double(layer.weights[row * 16 + $0]) * squares[$0]
            }
            func loss(_ kept: UInt32) -> Double {
                (0..<16).reduce(0) { kept >> UInt32($1) & 1 == 1 ? $0 : $0 + costs[$1] }
            }
            let own = (0..<16).reduce(UInt32(0)) { mask[row, $1] ? $0 | 1 << UInt32($1) : $0 }
            let best = (0..<UInt32(1 << 16)).filter { $0.nonzeroBitCount == 8 }.min { loss($0) < loss($1) }
            #expect(own == best)
        }
    }

    @Test func threadsChangeNothing() throws {
        let layer = LayerCase(rows: 37, columns: 130, tokens: 50, seed: 36)
        let mask = try layer.mask("wanda", ("sparsity", "0.6"), threads: 1)
        for threads in [2, 4] {
            #expect(try layer.mask("wanda", ("sparsity", "0.6"), threads: threads) == mask)
        }
    }

    @Test func settingsAreChecked() throws {
        #expect(throws: ConfigurationError.unknownKey(key: "ratio", known: ["sparsity", "pattern", "scope"]))
        {
            _ = try method("wanda", ("ratio", "0.5"))
        }
        #expect(
            throws: ConfigurationError.badValue(
                key: "sparsity", value: "1.0", expected: "a share of zeros from 0 up to, not including, 1")
        ) { _ = try method("wanda", ("sparsity", "1")) }
        #expect(
            throws: ConfigurationError.badValue(
                key: "pattern", value: "\"4:2\"",
                expected: "\"unstructured\", or \"N:M\" with 1 <= N < M <= 64, which keeps N of M")
        ) { _ = try method("wanda", ("pattern", "4:2")) }
        #expect(throws: ConfigurationError.globalNeedsWeightScore(method: "wanda")) {
            _ = try method("wanda", ("scope", "global"))
        }
        #expect(
            throws: ConfigurationError.unknownMethod(
                name: "best",
                known: ["magnitude", "wanda", "sparsegpt", "dsnot", "rtn", "gptq", "awq", "smoothquant"])
        ) {
            _ = try method("best")
        }
        let made = try method("magnitude", ("sparsity", "0.3"), ("scope", "global"))
        #expect(
            JSONValue.object(made.settings).text()
                == #"{"sparsity":0.3,"pattern":"unstructured","scope":"global"}"#)
        #expect(try method("wanda", ("pattern", "1:4")).goal.sparsity == 0.75)
    }
}
