import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowWeights

@Suite struct AllocationTests {
    private static let block: [(rows: Int, columns: Int)] = [
        (576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536),
    ]

    @Test func densitiesOfASmolLM2Block() {
        for (sparsity, square, keys, wide) in [(0.5, 0.622222, 1.0, 0.427778), (0.3, 0.906667, 1, 0.623333)] {
            let densities = SparsityAllocation.erdosRenyi(AllocationTests.block, sparsity: sparsity)
            for (density, expected) in zip(densities, [square, keys, keys, square, wide, wide, wide]) {
                #expect(abs(density - expected) < 1e-6)
            }
            let kept = zip(densities, AllocationTests.block).reduce(0) {
                $0 + $1.0 * Double($1.1.rows * $1.1.columns)
            }
            let all = AllocationTests.block.reduce(0) { $0 + Double($1.rows * $1.columns) }
            #expect(abs(kept / all - (1 - sparsity)) < 1e-12)
        }
    }

    @Test func outliersSpreadDensities() {
        let densities = SparsityAllocation.spread(
            [0.02, 0.05, 0.03, 0.04], over: 0.08, [10, 10, 10, 10], sparsity: 0.5)
        for (density, expected) in zip(densities, [0.42, 0.58, 0.42 + 0.16 / 3, 0.58 - 0.16 / 3]) {
            #expect(abs(density - expected) < 1e-12)
        }
        #expect(
            SparsityAllocation.spread([1, 1], over: 0.1, [3, 9], sparsity: 0.7).allSatisfy {
                abs($0 - 0.3) < 1e-12
            })
        // The mean is one over weights, and no density leaves 0...1.
        for sparsity in [0.02, 0.5, 0.97] {
            let densities = SparsityAllocation.spread(
                [0, 1, 0.5], over: 0.1, [5, 1, 20], sparsity: sparsity)
            #expect(densities.allSatisfy { $0 >= 0 && $0 <= 1 })
            let mean = (densities[0] * 5 + densities[1] + densities[2] * 20) / 26
            #expect(abs(mean - (1 - sparsity)) < 1e-12)
        }
    }

    @Test func outlierRatioCountsScoresFarAboveTheirMean() throws {
        let pool = try KernelPool(threads: 2)
        let scores = [
            ScoredRows(name: "a", rows: 2, columns: 4, scores: [1, 1, 1, 1, 1, 1, 1, 41]),
            ScoredRows(name: "b", rows: 1, columns: 2, scores: [1, 1]),
        ]
        // The mean is 5: one of ten is over five times that.
        #expect(try OutlierRatio.of(scores, above: 5, on: pool) == 0.1)
        #expect(try OutlierRatio.of(scores, above: 9, on: pool) == 0)
    }

    private func prune(
        _ allocation: SparsityAllocation, _ name: String = "wanda", _ settings: (String, String)...
    ) throws -> PruningReport {
        var pruner = SequentialPruner(try method(name, settings), threads: 2)
        pruner.allocation = allocation
        return try pruner.prune(
            try TinyLlama.model("tied-q8_0.gguf"), windows: TinyLlama.windows(3, length: 40))
    }

    @Test func modelsKeepTheirShareOfZeros() throws {
        let uniform = try prune(.uniform)
        for allocation in [SparsityAllocation.erdosRenyi, .outliers(threshold: 2, spread: 0.2)] {
            for name in ["wanda", "sparsegpt", "magnitude"] {
                let report = try prune(allocation, name)
                #expect(abs(Double(report.pruned) / Double(report.prunable) - 0.5) < 0.02)
                #expect(report.layers.map(\.pruned) != uniform.layers.map(\.pruned))
            }
        }
        // Blocks are pruned alike within.
        let owl = try prune(.outliers(threshold: 2, spread: 0.2))
        let shares = owl.layers.map { Double($0.pruned) / Double($0.count) }
        for block in 0..<2 {
            let own = shares[block * 7..<block * 7 + 7]
            #expect(own.max()! - own.min()! < 0.04)
        }
        #expect(abs(shares[0] - shares[7]) > 0.2)
    }

    @Test func aProfileFollowsAnotherModel() throws {
        let other = try prune(.uniform, "magnitude", ("scope", "global"))
        var profile: [String: Double] = [:]
        for layer in other.layers { profile[layer.name] = Double(layer.pruned) / Double(layer.count) }
        let report = try prune(.profile(profile), "magnitude")
        for (own, its) in zip(report.layers, other.layers) { #expect(abs(own.pruned - its.pruned) <= 1) }
        profile[other.layers[3].name] = nil
        #expect(
            throws: ConfigurationError.badValue(
                key: "profile", value: "no layer \(other.layers[3].name)",
                expected: "a sparsity for each layer")
        ) { _ = try prune(.profile(profile)) }
    }

    @Test func patternsSayWhatLayersKeep() {
        #expect(throws: ConfigurationError.self) { _ = try prune(.erdosRenyi, "wanda", ("pattern", "2:4")) }
        #expect(throws: ConfigurationError.self) {
            _ = try prune(.erdosRenyi, "magnitude", ("scope", "global"))
        }
    }
}
