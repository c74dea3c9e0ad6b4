import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowWeights

/// DSnoT the slow way: whole lists, sorted, one row.
private struct NaiveSwaps {
    var kept: [Bool]
    var error: Double
    var swaps = 0

    init(
        _ weights: [Double], means: [Double], variances: [Double], norms: [Double], start: [Bool],
        cycles: Int, threshold: Double, accept: (_ first: Double, _ before: Double, _ after: Double) -> Bool,
        group: Int? = nil, startNorms: [Double] = []
    ) {
        let shares = zip(weights, means).map { $0 * $1 }
        kept = start
        error = start.indices.filter { !start[$0] }.reduce(0) { $0 + shares[$1] }
        let first = error
        let order = start.indices.filter { !start[$0] && shares[$0] != 0 }.sorted {
            let (a, b) = (shares[$0] / variances[$0], shares[$1] / variances[$1])
            return a < b || (a == b && $0 < $1)
        }
        var growing = (up: order.filter { shares[$0] > 0 }, down: order.filter { shares[$0] < 0 })
        let scores = zip(weights, norms).map { abs($0) * $1 }
        let losing = start.indices.filter { start[$0] }.sorted {
            scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 < $1)
        }
        var going = (negative: losing.filter { shares[$0] < 0 }, positive: losing.filter { shares[$0] > 0 })
        for _ in 0..<cycles where abs(error) > threshold {
            let back: Int
            if error > 0 {
                guard let last = growing.up.popLast() else { return }
                back = last
            } else {
                guard !growing.down.isEmpty else { return }
                back = growing.down.removeFirst()
            }
            let gone: Int
            if let group {
                let members = (back / group * group..<min(start.count, back / group * group + group))
                    .filter { start[$0] && kept[$0] }
                guard
                    let least = members.min(by: {
                        abs(weights[$0]) * startNorms[$0] < abs(weights[$1]) * startNorms[$1]
                    })
                else { return }
                gone = least
            } else if error >= 0 {
                guard !going.negative.isEmpty else { return }
                gone = going.negative.removeFirst()
            } else {
                guard !going.positive.isEmpty else { return }
                gone = going.positive.removeFirst()
            }
            let after = error - shares[back] + shares[gone]
            guard accept(first, error, after) else { return }
            kept[back] = true
            kept[gone] = false
            error = after
            swaps += 1
        }
    }
}

@Suite struct DSnoTTests {
    private func configuration(_ change: (inout DSnoT.Configuration) -> Void) -> DSnoT.Configuration {
        var settings = DSnoT.Configuration()
        change(&settings)
        return settings
    }

    private let weights: [Float] = [0.5, -0.4, 0.3, -0.2, 0.1, 0.6]

    private func fixture(_ acceptance: DSnoT.Acceptance) throws -> (kept: [Int], MaskSwaps.Result) {
        let pool = try KernelPool(threads: 1)
        let matrix = try WeightMatrix(
            format: .f32, rows: 1, columns: 6, parts: .init(values: StorageSlice(copying: weights)), name: "w"
        )
        let norms: [Float] = [1, 1, 1.5, 1, 2, 0.5]
        let swaps = MaskSwaps(
            configuration { ($0.threshold, $0.acceptance) = (0.05, acceptance) },
            means: [0.2, 0.5, 1, -1, 2, -0.5], variances: [1, 0.5, 2, 1, 1, 0.25], norms: norms,
            startNorms: norms)
        let start = SparsityMask(rows: 1, columns: 6) { $1 < 3 }
        let result = swaps.run(
            LinearWeights(name: "w", matrix: matrix, on: pool), from: start, pattern: .unstructured)
        return ((0..<6).filter { result.mask[0, $0] }, result)
    }

    /// Without a rule the error overshoots and ends larger than it began; with one the first swap is refused.
    @Test func workedFixture() throws {
        let (kept, any) = try fixture(.any)
        #expect(kept == [0, 4, 5] && any.swaps == 2)
        #expect(abs(any.errorBefore - 0.1) < 1e-7 && abs(any.errorAfter - 0.3) < 1e-7)
        for acceptance in [DSnoT.Acceptance.sameSign, .strictDecrease] {
            let (kept, result) = try fixture(acceptance)
            #expect(kept == [0, 1, 2] && result.swaps == 0)
        }
    }

    @Test(arguments: 1...8)
    func equalsTheNaiveLists(_ seed: Int) throws {
        let layer = SolverCase(rows: 8, columns: 32, tokens: 96, seed: UInt64(seed))
        let pool = try KernelPool(threads: 2)
        let statistics = layer.statistics([.squares, .moments], windowLength: 24, on: pool)
        let moments = try #require(statistics.moments)
        #expect(moments.windows == 4 && moments.tokens == 96)
        let matrix = try layer.matrix(on: pool)
        let weights = layer.weights.map(Double.init)
        let norms = statistics.columnNorms
        for acceptance in [DSnoT.Acceptance.any, .sameSign, .strictDecrease] {
            for pattern in [SparsityPattern.unstructured, .nOfM(n: 2, m: 4)] {
                for cycles in [0, 3, 50] {
                    let settings = configuration {
                        ($0.cycles, $0.threshold, $0.acceptance) = (cycles, 0.01, acceptance)
                    }
                    var layerWeights = LinearWeights(name: "w", matrix: matrix, on: pool)
                    var target = LayerTarget(
                        goal: try SparsityGoal(sparsity: 0.5, pattern: pattern, scope: .row), seed: 0)
                    _ = try layerWeights.prune(by: WandaScore(columnNorms: norms), &target)
                    let start = try #require(layerWeights.mask)
                    let result = MaskSwaps(
                        settings, means: moments.means, variances: moments.variances, norms: norms,
                        startNorms: norms
                    ).run(layerWeights, from: start, pattern: pattern)
                    var swaps = 0
                    for row in 0..<8 {
                        let isGroups = pattern != .unstructured
                        let rule = isGroups && acceptance == .any ? .sameSign : acceptance
                        let naive = NaiveSwaps(
                            Array(weights[row * 32..<row * 32 + 32]), means: moments.means,
                            variances: moments.variances, norms: norms.map(Double.init),
                            start: (0..<32).map { start[row, $0] }, cycles: cycles, threshold: 0.01,
                            accept: { first, before, after in
                                switch rule {
                                case .any: true
                                case .sameSign: first.sign == after.sign
                                case .strictDecrease: abs(after) < abs(before)
                                }
                            }, group: isGroups ? 4 : nil, startNorms: norms.map(Double.init))
                        let own = (0..<32).map { result.mask[row, $0] }
                        #expect(own == naive.kept, "row \(row), \(acceptance), \(pattern), \(cycles)")
                        swaps += naive.swaps
                        // Followed swap by swap, the error is still that of the mask.
                        let again = (0..<32).filter { !own[$0] }.reduce(0.0) {
                            $0 + weights[row * 32 + $1] * moments.means[$1]
                        }
                        #expect(abs(naive.error - again) < 1e-12)
                        #expect(own.count { $0 } == 16)
                    }
                    #expect(result.swaps == swaps)
                    #expect(cycles > 0 || result.mask == start)
                    if pattern != .unstructured { #expect(result.mask.keeps(atMost: 2, of: 4)) }
                    if acceptance == .strictDecrease { #expect(result.errorAfter <= result.errorBefore) }
                }
            }
        }
    }

    @Test func momentsAreThoseOfAllTokens() throws {
        let layer = SolverCase(rows: 1, columns: 5, tokens: 60, seed: 3)
        let pool = try KernelPool(threads: 2)
        let moments = try #require(layer.statistics(.moments, windowLength: 12, on: pool).moments)
        for column in 0..<5 {
            let values = (0..<60).map { Double(layer.inputs[$0 * 5 + column]) }
            let mean = values.reduce(0, +) / 60
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 60
            #expect(abs(moments.means[column] - mean) < 1e-12)
            #expect(abs(moments.variances[column] - variance) < 1e-12)
            let within = (0..<5).reduce(0.0) { sum, window in
                let part = values[window * 12..<window * 12 + 12]
                let mean = part.reduce(0, +) / 12
                return sum + part.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            }
            #expect(abs(moments.variancesWithinWindows[column] - within / 60) < 1e-12)
        }
    }

    @Test(arguments: ["magnitude", "wanda", "sparsegpt"])
    func keepsTheCountsOfItsStart(_ start: String) throws {
        let layer = SolverCase(rows: 12, columns: 48, tokens: 100, seed: 21)
        for settings in [("sparsity", "0.6"), ("pattern", "2:4"), ("pattern", "1:4")] {
            let made = try method("dsnot", settings, ("start", start), ("threshold", "0.001"))
            let outcome = try layer.run(made)
            let mask = try #require(outcome.layer.mask)
            if settings.0 == "sparsity" {
                #expect((0..<12).allSatisfy { mask.keptCount(row: $0) == 48 - 28 })
            } else {
                #expect(mask.keeps(atMost: settings.1 == "2:4" ? 2 : 1, of: 4))
                #expect(mask.keptCount == 12 * 48 / (settings.1 == "2:4" ? 2 : 4))
            }
            #expect(
                outcome.report[figure: "expectedErrorAfter"]! <= outcome.report[
                    figure: "expectedErrorBefore"]!)
            // Weights that stay are as they were.
            for (value, given) in zip(outcome.values, layer.weights) { #expect(value == 0 || value == given) }
        }
    }

    @Test func zeroMeansAndLargeThresholdsLeaveTheStart() throws {
        var layer = SolverCase(rows: 6, columns: 16, tokens: 40, seed: 22)
        let start = try layer.run(try method("wanda"))
        #expect(try layer.run(try method("dsnot", ("threshold", "1e9"))).layer.mask == start.layer.mask)
        #expect(try layer.run(try method("dsnot", ("cycles", "0"))).layer.mask == start.layer.mask)
        // Every token beside its negative: no channel has a mean.
        layer.inputs += layer.inputs.map { -$0 }
        let balanced = try layer.run(try method("dsnot", ("threshold", "0")))
        let doubled = try layer.run(try method("wanda"))
        #expect(balanced.layer.mask == doubled.layer.mask)
    }

    @Test func feedForwardCanBeSkipped() throws {
        let layer = SolverCase(rows: 12, columns: 48, tokens: 100, seed: 23)
        let start = try layer.run(try method("wanda")).layer.mask
        let made = try method("dsnot", ("skip_feed_forward", "true"), ("threshold", "0.001"))
        #expect(try layer.run(made, input: .feedForwardHidden).layer.mask == start)
        #expect(try layer.run(made, input: .attentionInput).layer.mask != start)
    }

    @Test func theReferencesUnitsAreLarger() throws {
        let layer = SolverCase(rows: 12, columns: 48, tokens: 100, seed: 24)
        let own = try layer.run(try method("dsnot"))
        let reference = try layer.run(try method("dsnot", ("statistics", "reference")))
        let ratio =
            reference.report[figure: "expectedErrorBefore"]! / own.report[figure: "expectedErrorBefore"]!
        #expect(abs(ratio - 100) < 1e-6)
        #expect(reference.report[figure: "swaps"]! >= own.report[figure: "swaps"]!)
    }

    @Test func repairNeedsAHessian() throws {
        #expect(
            throws: ConfigurationError.badValue(
                key: "repair", value: "true", expected: "false unless start is sparsegpt")
        ) {
            _ = try method("dsnot", ("repair", "true"))
        }
        let layer = SolverCase(rows: 12, columns: 48, tokens: 100, seed: 25)
        let plain = try layer.run(try method("dsnot", ("start", "sparsegpt")))
        let repaired = try layer.run(try method("dsnot", ("start", "sparsegpt"), ("repair", "true")))
        #expect(repaired.layer.mask == plain.layer.mask)
        let before = layer.weights.map(Double.init)
        let losses = [repaired, plain].map {
            NaiveSweep.quadratic(before, $0.values.map(Double.init), rows: 12, layer.damped(0.01)).reduce(
                0, +)
        }
        #expect(losses[0] < losses[1])
    }

    @Test func wholeModel() throws {
        for start in ["magnitude", "wanda", "sparsegpt"] {
            let model = try TinyLlama.model("tied-q4_1.gguf")
            let made = try method("dsnot", ("start", start), ("statistics", "reference"))
            let report = try SequentialPruner(made, threads: 2).prune(
                model, windows: TinyLlama.windows(3, length: 40))
            #expect(report.pruned == report.prunable / 2)
            let swaps = report.layers.compactMap { $0[figure: "swaps"] }
            #expect(swaps.count == 14 && swaps.reduce(0, +) > 0)
        }
    }
}
