import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowWeights

@Suite struct GPTQTests {
    private func loss(_ layer: SolverCase, _ outcome: SolverCase.Outcome) -> Double {
        NaiveSweep.quadratic(
            layer.weights.map(Double.init), outcome.values.map(Double.init), rows: layer.rows,
            layer.damped(0.01)
        ).reduce(0, +)
    }

    /// Codes bit for bit against a solver that inverts what is left at every column, on scales known before.
    @Test(arguments: 1...4)
    func equalsTheNaiveSolver(_ seed: Int) throws {
        let layer = SolverCase(rows: 6, columns: 64, tokens: 150, seed: UInt64(seed))
        let pool = try KernelPool(threads: 2)
        let matrix = try layer.matrix(on: pool)
        for grid in [
            QuantGrid(int8Of: matrix, on: pool), QuantGrid(q8_0Of: matrix, on: pool),
            QuantGrid(int4Of: matrix, group: 32).fixed(on: matrix, on: pool),
            QuantGrid(int4Of: matrix, group: 64, bits: 3).fixed(on: matrix, on: pool),
        ] {
            for block in [16, 64] {
                let factor = try GramMatrix(order: 64, values: layer.gram).inverseFactor(
                    damping: 0.01, on: pool)
                let sweep = ColumnSweep(name: "w", matrix: matrix, blockSize: block, pool: pool)
                let result = try sweep.run(factor, .given, grid: grid)
                let expected = NaiveSweep(
                    layer.weights.map(Double.init), rows: 6, hessian: layer.damped(0.01), .given
                ) { grid.nearest($0, $1, $2) }
                #expect(result.mask == nil)
                for (a, b) in zip(result.matrix.floats(on: pool), expected.weights) {
                    #expect(abs(Double(a) - b) < 1e-6)
                }
                #expect(abs(result.loss - expected.losses.reduce(0, +)) < 1e-7 * max(1, result.loss))
            }
        }
    }

    @Test(arguments: [StoredForm.int8, .q8_0, .int4(group: 32), .int4(group: 64), .int4(group: 64, bits: 3)])
    func losesNoMoreThanRounding(_ form: StoredForm) throws {
        var sums = [0.0, 0.0, 0.0]
        for seed in 1...5 {
            let layer = SolverCase(rows: 10, columns: 128, tokens: 300, seed: UInt64(seed))
            let rtn = try layer.run(try method("rtn"), store: form)
            let gptq = try layer.run(try method("gptq"), store: form)
            let ordered = try layer.run(try method("gptq", ("act_order", "true")), store: form)
            for (index, outcome) in [rtn, gptq, ordered].enumerated() {
                #expect(outcome.stored.format == form.format(of: outcome.layer.matrix).dense)
                #expect(outcome.layer.mask == nil)
                sums[index] += loss(layer, outcome)
            }
            #expect(abs(gptq.report[figure: "loss"]! - loss(layer, gptq)) < 1e-3 * loss(layer, gptq))
        }
        #expect(sums[1] < sums[0] && sums[2] < sums[0])
    }

    /// Orthogonal inputs: there is nothing to make up for with.
    @Test func aDiagonalHessianMakesItRounding() throws {
        var layer = SolverCase(rows: 7, columns: 32, tokens: 32, seed: 8)
        for index in layer.inputs.indices {
            layer.inputs[index] = index / 32 == index % 32 ? Float(1 + index % 5) : 0
        }
        for form in [StoredForm.int8, .int4(group: 32)] {
            let gptq = try layer.run(try method("gptq", ("damping", "0")), store: form)
            #expect(gptq.values == (try layer.run(try method("rtn"), store: form)).values)
        }
    }

    @Test func scalingInputsChangesNothing() throws {
        var layer = SolverCase(rows: 7, columns: 32, tokens: 90, seed: 9)
        let first = try layer.run(try method("gptq"), store: .int4(group: 32))
        layer.inputs = layer.inputs.map { $0 * 4 }
        #expect(try layer.run(try method("gptq"), store: .int4(group: 32)).values == first.values)
    }

    /// A constant diagonal leaves the columns where they are.
    @Test func orderOfEqualInputsIsTheirOwn() throws {
        var layer = SolverCase(rows: 5, columns: 32, tokens: 40, seed: 10)
        for index in layer.inputs.indices { layer.inputs[index] = layer.inputs[index] < 0 ? -1 : 1 }
        let pool = try KernelPool(threads: 1)
        let grid = QuantGrid(int8Of: try layer.matrix(on: pool), on: pool)
        let plain = try layer.run(try method("gptq"), store: .int8)
        let ordered = try layer.run(try method("gptq", ("act_order", "true")), store: .int8)
        #expect(plain.values == ordered.values)
        #expect(grid.codes == -127...127)
    }

    @Test(arguments: ["rtn", "gptq"])
    func zerosStayZero(_ name: String) throws {
        let layer = SolverCase(rows: 9, columns: 64, tokens: 150, seed: 11)
        let pruned = try layer.run(try method("sparsegpt"))
        for settings in name == "gptq" ? [[("act_order", "true")], []] : [[]] {
            for form in [StoredForm.int8, .q8_0, .int4(group: 32), .int4(group: 64, bits: 3)] {
                let outcome = try layer.run(try method(name, settings), pruned.stored, store: form)
                #expect(outcome.stored.format == form.format(of: pruned.stored))
                #expect(outcome.stored.mask == pruned.layer.mask)
                for (value, kept) in zip(outcome.values, pruned.kept) where !kept { #expect(value == 0) }
                // int4 of a group of kept weights meets the largest of them.
                #expect(outcome.values.contains { $0 != 0 })
            }
        }
    }

    @Test func threeBitsAreTheInnerCodesOfFour() throws {
        let layer = SolverCase(rows: 6, columns: 64, tokens: 150, seed: 12)
        let pool = try KernelPool(threads: 1)
        let stored = try layer.run(try method("gptq"), store: .int4(group: 64, bits: 3)).stored
        let values = stored.floats(on: pool)
        for row in 0..<6 { #expect(Set(values[row * 64..<row * 64 + 64]).count <= 8) }
    }

    @Test func wholeModels() throws {
        for name in ["rtn", "gptq"] {
            for source in ["tied", "tied-q4_1.gguf"] {
                let model = try TinyLlama.model(source)
                var pruner = SequentialPruner(try method(name), threads: 2)
                pruner.store = .int4(group: 32)
                let report = try pruner.prune(model, windows: TinyLlama.windows(3, length: 40))
                #expect(report.formats == ["int4"] && report.pruned == 0)
                #expect(report.layers.allSatisfy { $0.maskSHA256.isEmpty })
            }
        }
    }

    @Test func schemesHaveTheirUsualNames() throws {
        #expect(QuantizationScheme.named("W4A16")?.form(group: 64, method: "gptq") == .int4(group: 64))
        #expect(QuantizationScheme.named("W8A8")?.form(group: 64, method: "gptq") == .q8_0)
        #expect(QuantizationScheme.named("W8A8")?.form(group: 64, method: "smoothquant") == .int8)
        #expect(QuantizationScheme.named("W8A16")?.form(group: 64, method: "gptq") == .int8)
        #expect(QuantizationScheme.named("W3A16")?.form(group: 128, method: "gptq") == .int4(group: 128, bits: 3))
        #expect(QuantizationScheme.named("W2A16") == nil)
    }
}
