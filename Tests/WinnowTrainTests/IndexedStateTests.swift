import Testing
import WinnowCore
import WinnowTrain

@Suite struct IndexedStateTests {
    private func move(
        _ values: inout [Float], _ gradients: [Float],
        _ body: (UnsafeMutableBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void
    ) {
        values.withUnsafeMutableBufferPointer { values in
            gradients.withUnsafeBufferPointer { body(values, $0) }
        }
    }

    /// All indices, never replaced: AdamW itself.
    @Test func aFullSetIsAdamW() throws {
        let pool = try KernelPool(threads: 1), rule = AdamRule(weightDecay: 0.1), optimizer = AdamW(rule)
        let start = TrainedParameter.numbers(60, seed: 1)
        var dense = TrainedParameter(rows: 6, columns: 10, values: start, optimizer: optimizer)
        var state = IndexedState(indices: (0..<60).map { Int32($0) }), values = start
        for step in 0..<5 {
            let gradients = TrainedParameter.numbers(60, seed: UInt64(step + 2))
            dense.step(optimizer, gradients: gradients, rate: 0.01, pool: pool)
            move(&values, gradients) { state.step(rule, values: $0, gradients: $1, rate: 0.01) }
        }
        #expect(dense.values == values)
        #expect(state.ages == [Int32](repeating: 5, count: 60))
    }

    /// Each entry follows an AdamW of its own from when it was taken in.
    @Test func entriesHaveTheirOwnAge() throws {
        let rule = AdamRule(weightDecay: 0)
        var state = IndexedState(indices: [2, 5, 9]), values: [Float] = [0, 0, 0]
        move(&values, [1, -1, 2]) { state.step(rule, values: $0, gradients: $1, rate: 0.1) }
        let plan = state.replace(dropped: [1], grown: [0, 7])
        #expect(plan == [-1, 0, -1, 2])
        #expect(state.indices == [0, 2, 7, 9])
        #expect(state.ages == [0, 1, 0, 1])
        let before = values
        values = plan.map { $0 < 0 ? 0 : before[$0] }
        move(&values, [3, 3, 3, 3]) { state.step(rule, values: $0, gradients: $1, rate: 0.1) }
        // A first step of Adam is the rate, whatever the gradient.
        #expect(abs(values[0] + 0.1) < 1e-6 && abs(values[2] + 0.1) < 1e-6)
        // The second of (1, 3): m = (0.9 * 0.1 + 0.3) / 0.19, v = (0.999e-3 + 9e-3) / 0.001999.
        let second = 0.1 * (0.39 / 0.19) / (0.009999 / 0.001999).squareRoot()
        #expect(abs(Double(values[1]) - (-0.1 - second)) < 1e-6)
    }

    @Test func seedsStartAtTheAgeOfWhatWasSeen() {
        let rule = AdamRule(weightDecay: 0)
        var state = IndexedState(indices: [])
        // Five steps that all saw a gradient of 2: moments corrected for their age are 2 and 4.
        _ = state.replace(dropped: [], grown: [3], seeds: [.init(age: 5, sum: 10, squares: 20, rule: rule)])
        var values: [Float] = [0]
        move(&values, [2]) { state.step(rule, values: $0, gradients: $1, rate: 0.1) }
        #expect(abs(values[0] + 0.1) < 1e-6)
        #expect(state.ages == [6])
    }

    @Test func stateGoesOutAndComesBack() throws {
        var state = IndexedState(indices: [1, 4]), values: [Float] = [0, 0]
        move(&values, [1, 2]) { state.step(AdamRule(), values: $0, gradients: $1, rate: 0.1) }
        let saved = state.tensors()
        let back = try IndexedState("delta") { name in saved.first { $0.name == name }?.tensor }
        #expect(back == state)
        #expect(throws: OptimizerError.missingState(parameter: "delta", name: "ages")) {
            try IndexedState("delta") { name in name == "ages" ? nil : saved.first { $0.name == name }?.tensor
            }
        }
        let turned = Tensor(dtype: .i32, shape: [2], bytes: StorageSlice(copying: [4, 1] as [Int32]))
        #expect(throws: OptimizerError.self) {
            try IndexedState("delta") { name in
                name == "indices" ? turned : saved.first { $0.name == name }?.tensor
            }
        }
    }

    /// SM3 on [2, 3] with (0, 1), (0, 2) and (1, 1) active, worked by hand.
    @Test func sm3OnASparseSet() {
        var state = IndexedSM3(rows: 2, columns: 3), values: [Float] = [0, 0, 0]
        let indices: [Int32] = [1, 2, 4]
        move(&values, [1, 2, -3]) {
            state.step(SM3(), indices: indices, values: $0, gradients: $1, rate: 0.1)
        }
        #expect(state.rowBounds == [4, 9] && state.columnBounds == [0, 9, 4])
        move(&values, [0.5, 0, 1]) {
            state.step(SM3(), indices: indices, values: $0, gradients: $1, rate: 0.1)
        }
        #expect(state.rowBounds == [4.25, 10] && state.columnBounds == [0, 10, 4])
        for (value, right) in zip(values, [-0.12425356, -0.1, 0.06837722] as [Float]) {
            #expect(abs(value - right) < 1e-7)
        }
        #expect(state.score(5) == 40 && state.score(0) == 0 && state.score(3) == 0)
    }
}
