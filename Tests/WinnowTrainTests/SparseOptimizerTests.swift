import Testing
import WinnowCore
import WinnowTrain
import WinnowWeights

@Suite struct SparseOptimizerTests {
    private static let rules: [any ParameterOptimizer] = [
        AdamW(AdamRule(weightDecay: 0.1)), SGD(SGDRule(weightDecay: 0.1)),
        SGD(SGDRule(nesterov: true, weightDecay: 0.1)), Lion(LionRule(weightDecay: 0.1)),
    ]
    private static let factored: [any ParameterOptimizer] = [Adafactor(), SM3(), SM3(momentum: 0.9)]
    private let shapes = [(1, 1), (1, 31), (3, 64), (7, 65), (5, 257), (2, 1100), (40, 33), (1, 17000)]

    /// Compressed state holds what dense state holds for kept weights, and moves values by the same bits;
    /// what a mask prunes is +0 after every step, whatever its gradient.
    @Test(arguments: rules.indices) func compressedStateMovesAsDense(_ index: Int) throws {
        let optimizer = Self.rules[index], pool = try KernelPool(threads: 2)
        for (turn, (rows, columns)) in shapes.enumerated() {
            let count = rows * columns
            for share in (count < 3000 ? [0, 0.1, 0.5, 1] : [0.5]) as [Float] {
                let mask = TrainedParameter.mask(rows: rows, columns: columns, keeping: share, seed: 3)
                let start = TrainedParameter.numbers(count, seed: UInt64(turn))
                var dense = TrainedParameter(
                    rows: rows, columns: columns, values: start, mask: mask, optimizer: optimizer)
                var packed = TrainedParameter(
                    rows: rows, columns: columns, values: start, mask: mask, optimizer: optimizer,
                    layout: .compressed)
                for step in 1...3 {
                    var gradients = TrainedParameter.numbers(count, seed: UInt64(100 + step))
                    if let pruned = (0..<count).first(where: { !mask[$0 / columns, $0 % columns] }) {
                        gradients[pruned] = .nan
                    }
                    dense.step(optimizer, gradients: gradients, rate: 0.01, scale: 0.5, pool: pool)
                    packed.step(optimizer, gradients: gradients, rate: 0.01, scale: 0.5, pool: pool)
                }
                #expect(dense.values.map(\.bitPattern) == packed.values.map(\.bitPattern))
                let kept = (0..<count).filter { mask[$0 / columns, $0 % columns] }
                #expect(
                    (0..<count).allSatisfy {
                        mask[$0 / columns, $0 % columns] || dense.values[$0].bitPattern == 0
                    })
                for (whole, part) in zip(dense.state.tensors(), packed.state.tensors()).dropFirst() {
                    let all = try #require(whole.tensor.floats()), some = try #require(part.tensor.floats())
                    #expect(kept.map { all[$0].bitPattern } == some.map(\.bitPattern))
                    #expect(part.tensor.count == mask.keptCount)
                }
            }
        }
    }

    @Test(arguments: factored.indices) func factoredOptimizersKeepPrunedWeightsAtZero(_ index: Int) throws {
        let optimizer = Self.factored[index], pool = try KernelPool(threads: 2)
        for (rows, columns) in shapes {
            let mask = TrainedParameter.mask(rows: rows, columns: columns, keeping: 0.4, seed: 9)
            var parameter = TrainedParameter(
                rows: rows, columns: columns, values: TrainedParameter.numbers(rows * columns, seed: 1),
                mask: mask,
                optimizer: optimizer)
            for step in 0..<3 {
                parameter.step(
                    optimizer, gradients: TrainedParameter.numbers(rows * columns, seed: UInt64(step + 7)),
                    rate: 0.01,
                    pool: pool)
            }
            for index in 0..<rows * columns where !mask[index / columns, index % columns] {
                #expect(parameter.values[index].bitPattern == 0)
            }
            #expect(parameter.values.allSatisfy { $0.isFinite })
        }
    }

    @Test(arguments: (rules + factored).indices) func bitsDoNotDependOnThreads(_ index: Int) throws {
        let optimizer = (Self.rules + Self.factored)[index]
        for (rows, columns) in [(20, 1000), (1, 20000), (600, 33)] {
            for mask in [nil, TrainedParameter.mask(rows: rows, columns: columns, keeping: 0.5, seed: 1)] {
                let results = try [1, 2, 4].map { threads in
                    let pool = try KernelPool(threads: threads)
                    var parameter = TrainedParameter(
                        rows: rows, columns: columns,
                        values: TrainedParameter.numbers(rows * columns, seed: 1),
                        mask: mask, optimizer: optimizer, layout: .compressed)
                    for step in 0..<2 {
                        parameter.step(
                            optimizer,
                            gradients: TrainedParameter.numbers(rows * columns, seed: UInt64(step + 7)),
                            rate: 0.01, pool: pool)
                    }
                    return parameter.values
                }
                #expect(results[0] == results[1] && results[0] == results[2])
            }
        }
    }

    @Test(arguments: (rules + factored).indices) func stateGoesOutAndComesBack(_ index: Int) throws {
        let optimizer = (Self.rules + Self.factored)[index], pool = try KernelPool(threads: 2)
        let mask = TrainedParameter.mask(rows: 7, columns: 100, keeping: 0.5, seed: 1)
        for layout in StateLayout.allCases {
            func fresh(_ values: [Float]) -> TrainedParameter {
                TrainedParameter(
                    rows: 7, columns: 100, values: values, mask: mask, optimizer: optimizer, layout: layout)
            }
            var straight = fresh(TrainedParameter.numbers(700, seed: 1))
            func step(_ parameter: inout TrainedParameter, _ number: UInt64) {
                parameter.step(
                    optimizer, gradients: TrainedParameter.numbers(700, seed: 50 + number), rate: 0.01,
                    pool: pool)
            }
            for number in 0..<3 { step(&straight, UInt64(number)) }
            let saved = straight.state.tensors()
            var resumed = fresh(straight.values)
            try resumed.state.restore("w") { name in saved.first { $0.name == name }?.tensor }
            #expect(resumed.state.steps == 3)
            for number in 3..<6 {
                step(&straight, UInt64(number))
                step(&resumed, UInt64(number))
            }
            #expect(straight.values.map(\.bitPattern) == resumed.values.map(\.bitPattern))
        }
    }

    @Test func stateOfAnotherShapeIsRefused() throws {
        let optimizer = AdamW(AdamRule())
        let small = optimizer.makeState(rows: 2, columns: 3, mask: nil, layout: .dense)
        let large = optimizer.makeState(rows: 2, columns: 4, mask: nil, layout: .dense)
        let saved = small.tensors()
        #expect(
            throws: OptimizerError.stateMismatch(
                parameter: "w", name: "first", found: "6 of F32", expected: "8 of F32")
        ) { try large.restore("w") { name in saved.first { $0.name == name }?.tensor } }
        #expect(throws: OptimizerError.missingState(parameter: "w", name: "steps")) {
            try large.restore("w") { _ in nil }
        }
    }

    @Test func compressedStateOfAnotherMaskIsRefused() throws {
        let optimizer = AdamW(AdamRule())
        let even = SparsityMask(rows: 1, columns: 8) { $1 % 2 == 0 }
        let odd = SparsityMask(rows: 1, columns: 8) { $1 % 2 == 1 }
        let saved = optimizer.makeState(rows: 1, columns: 8, mask: even, layout: .compressed).tensors()
        let other = optimizer.makeState(rows: 1, columns: 8, mask: odd, layout: .compressed)
        #expect(
            throws: OptimizerError.stateMismatch(
                parameter: "w", name: "mask", found: "another one", expected: "the mask it was saved under")
        ) { try other.restore("w") { name in saved.first { $0.name == name }?.tensor } }
    }

    /// A weight that stays under a new mask keeps its moments; one that has grown starts from nothing.
    @Test func compressedStateFollowsAMask() throws {
        let optimizer = AdamW(AdamRule()), pool = try KernelPool(threads: 1)
        let old = TrainedParameter.mask(rows: 5, columns: 70, keeping: 0.5, seed: 1)
        let new = TrainedParameter.mask(rows: 5, columns: 70, keeping: 0.6, seed: 1000)
        var dense = TrainedParameter(
            rows: 5, columns: 70, values: TrainedParameter.numbers(350, seed: 2), mask: old,
            optimizer: optimizer)
        var packed = TrainedParameter(
            rows: 5, columns: 70, values: dense.values, mask: old, optimizer: optimizer, layout: .compressed)
        for step in 0..<4 {
            if step == 2 {
                dense.mask = new
                packed.mask = new
                packed.state.adopt(new)
            }
            let gradients = TrainedParameter.numbers(350, seed: UInt64(10 + step))
            dense.step(optimizer, gradients: gradients, rate: 0.01, pool: pool)
            packed.step(optimizer, gradients: gradients, rate: 0.01, pool: pool)
        }
        #expect(dense.values == packed.values)
        #expect(packed.state.byteCount == 8 * new.keptCount)
    }

    // MARK: The papers' terms

    private let weights: [Float] = [0.4, -0.1, 0.05, 0.3]
    private let gradients: [Float] = [0.1, -0.2, 0.05, 0]
    private let twoOfFour = SparsityMask(rows: 1, columns: 4) { _, column in column == 0 || column == 3 }

    private func steps(_ optimizers: [any ParameterOptimizer], rate: Double) throws -> [[Float]] {
        let pool = try KernelPool(threads: 1)
        var parameter = TrainedParameter(rows: 1, columns: 4, values: weights, optimizer: optimizers[0])
        parameter.mask = twoOfFour
        return optimizers.map {
            parameter.step($0, gradients: gradients, rate: rate, pool: pool)
            return parameter.values
        }
    }

    private func expect(_ values: [Float], _ right: [Float], within tolerance: Float = 2e-7) {
        #expect(zip(values, right).allSatisfy { abs($0 - $1) <= tolerance }, "\(values), not \(right)")
    }

    /// Adaptive Sparse Trainer, worked in float64: two steps at lambda 0.5.
    @Test func decayAfterTheFirstMoment() throws {
        let rule = AdamRule(beta2: 0.95, weightDecay: 0)
        let optimizer = SparseOptimizer(rule, term: PrunedDecay(strength: 0.5))
        let values = try steps([optimizer, optimizer], rate: 0.01)
        expect(values[0], [0.3000001, -0.00000001, -0.04999997, 0.3])
        expect(values[1], [0.2346066, 0.03576167, -0.0155778, 0.3])
    }

    /// CAST's AdamS, worked in float64: blend 0, 1/4, 1/2.
    @Test func pullBlendedWithTheFirstMoment() throws {
        let rule = AdamRule(weightDecay: 0)
        let values = try steps(
            (0..<3).map { SparseOptimizer(rule, term: PrunedPull(blend: Float($0) / 4, strength: 0.2)) },
            rate: 0.01)
        // The sign of a weight that two steps left near zero is a matter of rounding: float64 has it below.
        expect(values[0], [0.3000001, -0.00000005, -0.0499998, 0.3])
        expect(values[1], [0.23414298, 0.07211223, 0.02391345, 0.3], within: 1e-6)
        expect(values[2], [0.1840604, 0.02936758, -0.03531558, 0.3], within: 1e-6)
    }

    /// SoRA's proximal step with a rate of 1: soft thresholding, exact zeros.
    @Test func thresholdAfterTheStep() throws {
        let pool = try KernelPool(threads: 1)
        let optimizer = SparseOptimizer(SGDRule(momentum: 0), map: SoftThreshold(strength: 0.1))
        var parameter = TrainedParameter(
            rows: 1, columns: 8, values: [0.05, 0.12, 0.19, 0.2, 0.21, 0.5, -0.15, -0.3], optimizer: optimizer
        )
        parameter.step(optimizer, gradients: [Float](repeating: 0, count: 8), rate: 1, pool: pool)
        expect(parameter.values, [0, 0.02, 0.09, 0.1, 0.11, 0.4, -0.05, -0.2], within: 1e-7)
        #expect(parameter.values[0].bitPattern == 0)
    }

    /// Without gradients the decay moves pruned weights only, towards zero.
    @Test func decayInTheGradient() throws {
        let pool = try KernelPool(threads: 1)
        let optimizer = SparseOptimizer(
            AdamRule(weightDecay: 0), gradient: PrunedDecayInGradient(strength: 0.1))
        var parameter = TrainedParameter(rows: 1, columns: 4, values: weights, optimizer: optimizer)
        parameter.mask = twoOfFour
        parameter.step(optimizer, gradients: [0, 0, 0, 0], rate: 0.01, pool: pool)
        expect(parameter.values, [0.4, -0.09, 0.04, 0.3], within: 1e-6)
    }
}
