import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

@Suite struct SparseGPTTests {
    @Test func workedFixture() throws {
        let pool = try KernelPool(threads: 1)
        let gram = GramMatrix(order: 4, values: [4, 1, 0, 1, 1, 3, 1, 0, 0, 1, 2, 0.5, 1, 0, 0.5, 1])
        let matrix = try WeightMatrix(
            format: .f32, rows: 1, columns: 4,
            parts: .init(values: StorageSlice(copying: [1, -0.5, 0.8, 0.3] as [Float])), name: "w")
        let sweep = ColumnSweep(name: "w", matrix: matrix, pool: pool)
        let result = try sweep.run(try gram.inverseFactor(damping: 0, on: pool), .nOfM(n: 2, m: 4))
        #expect(result.mask?.flags == [true, false, true, false])
        let expected: [Float] = [1, 0, 0.51428571, 0]
        for (a, b) in zip(result.matrix.floats(on: pool), expected) { #expect(abs(a - b) < 1e-7) }
        #expect(abs(result.loss - 0.40163265) < 1e-8)
    }

    /// Masks bit for bit and values against a solver that inverts what is left at every column.
    @Test(arguments: 1...6)
    func equalsTheNaiveSolver(_ seed: Int) throws {
        let layer = SolverCase(rows: 7, columns: 24, tokens: 80, seed: UInt64(seed))
        let pool = try KernelPool(threads: 2)
        let gram = GramMatrix(order: 24, values: layer.gram)
        let matrix = try layer.matrix(on: pool)
        let weights = layer.weights.map(Double.init)
        let hessian = layer.damped(0.01)
        let cases: [(ColumnSweep.Selection, NaiveSweep.Selection, Int)] = [
            (.share(0.25), .share(0.25, block: 24), 128), (.share(0.5), .share(0.5, block: 8), 8),
            (.share(0.6), .share(0.6, block: 10), 10), (.share(0), .share(0, block: 24), 24),
            (.nOfM(n: 2, m: 4), .nOfM(n: 2, m: 4), 128), (.nOfM(n: 4, m: 8), .nOfM(n: 4, m: 8), 8),
            (.share(0.5, unit: 4), .share(0.5, block: 24, unit: 4), 128),
            (.share(0.6, unit: 4), .share(0.6, block: 8, unit: 4), 11),
            (.share(0.25, unit: 3), .share(0.25, block: 12, unit: 3), 12),
            (.nOfM(n: 1, m: 4), .nOfM(n: 1, m: 4), 12), (.nOfM(n: 2, m: 5), .nOfM(n: 2, m: 5), 10),
        ]
        for (selection, naive, block) in cases {
            var values = [Double](repeating: 0, count: weights.count)
            var sweep = ColumnSweep(name: "w", matrix: matrix, blockSize: block, pool: pool)
            sweep.inspect = { solved, stride in
                for index in values.indices { values[index] = solved[index % 24 * stride + index / 24] }
            }
            let result = try sweep.run(try gram.inverseFactor(damping: 0.01, on: pool), selection)
            let expected = NaiveSweep(weights, rows: 7, hessian: hessian, naive)
            #expect(result.mask?.flags ?? expected.kept.map { _ in true } == expected.kept, "\(selection)")
            for (a, b) in zip(values, expected.weights) { #expect(abs(a - b) < 1e-9, "\(selection)") }
            let loss = expected.losses.reduce(0, +)
            #expect(abs(result.loss - loss) < 1e-9 * max(1, loss))
            // The loss is what the quadratic form says of the change.
            let quadratic = NaiveSweep.quadratic(weights, values, rows: 7, hessian).reduce(0, +)
            #expect(abs(result.loss - quadratic) < 1e-7 * max(1, quadratic))
        }
    }

    /// For one mask: the best weights of each row lose no more than the sweep's, and those no more than none.
    @Test(arguments: 1...6)
    func standsBetweenTheBestAndNoRepair(_ seed: Int) throws {
        let layer = SolverCase(seed: UInt64(seed))
        let outcome = try layer.run(try method("sparsegpt"))
        let before = layer.weights.map(Double.init)
        let hessian = layer.damped(0.01)
        let kept = outcome.kept
        let solved = outcome.values.map(Double.init)
        let none: [Double] = zip(before, kept).map { $1 ? $0 : 0 }
        var best: [Double] = []
        for row in 0..<8 {
            let place = row * 16..<row * 16 + 16
            best += NaiveSweep.exactRow(Array(before[place]), kept: Array(kept[place]), hessian)
        }
        let losses: [[Double]] = [best, solved, none].map {
            NaiveSweep.quadratic(before, $0, rows: 8, hessian)
        }
        for row in 0..<8 {
            let bound: Double = losses[1][row] * (1 + 1e-6) + 1e-9
            #expect(losses[0][row] <= bound)
        }
        let totals: [Double] = losses.map { $0.reduce(0, +) }
        #expect(totals[1] < totals[2])
        #expect(kept.count { !$0 } == 64)
        #expect(zip(solved, kept).allSatisfy { $1 || $0 == 0 })
    }

    @Test func blocksDoNotMatterForNOfM() throws {
        let layer = SolverCase(columns: 32, seed: 9)
        let first = try layer.run(try method("sparsegpt", ("pattern", "2:4"), ("block_size", "4")))
        for block in ["8", "32", "128"] {
            let other = try layer.run(try method("sparsegpt", ("pattern", "2:4"), ("block_size", block)))
            #expect(other.layer.mask == first.layer.mask)
            for (a, b) in zip(first.values, other.values) { #expect(abs(a - b) < 1e-5) }
        }
        #expect(first.layer.mask!.keeps(atMost: 2, of: 4))
    }

    /// Groups of the pattern and of scales that no block of columns holds whole.
    @Test func groupsThatDoNotMeetStillHold() throws {
        let layer = SolverCase(rows: 6, columns: 160, tokens: 300, seed: 19)
        for (pattern, size) in [("3:7", 7), ("24:48", 48), ("32:64", 64)] {
            let outcome = try layer.run(
                try method("sparsegpt", ("pattern", pattern)), store: .int4(group: 128))
            let kept = Int(pattern.split(separator: ":")[0])!
            #expect(outcome.stored.mask!.keeps(atMost: kept, of: size))
            #expect(outcome.values.allSatisfy { $0.isFinite } && outcome.values.contains { $0 != 0 })
        }
    }

    @Test func orthogonalInputsLeaveNothingToMakeUpFor() throws {
        var layer = SolverCase(tokens: 16, seed: 10)
        for index in layer.inputs.indices {
            layer.inputs[index] = index / 16 == index % 16 ? Float(1 + index % 16) : 0
        }
        let outcome = try layer.run(try method("sparsegpt", ("damping", "0")))
        for (index, value) in outcome.values.enumerated() {
            #expect(value == 0 || value == layer.weights[index])
        }
        let scores = layer.weights.enumerated().map { Double(abs($1) * Float(1 + $0 % 16)) }
        #expect(outcome.kept == Naive.kept(scores, pruned: 64))
    }

    @Test func aSecondRunKeepsTheMask() throws {
        let layer = SolverCase(rows: 9, columns: 64, tokens: 100, seed: 11)
        for settings in [("sparsity", "0.5"), ("pattern", "2:4")] {
            for format in [WeightFormat.f32, .q4_1, .q8_0] {
                let pool = try KernelPool(threads: 2)
                let made = try method("sparsegpt", settings, ("block_size", "16"))
                let first = try layer.run(made, try layer.matrix(format, on: pool))
                let second = try layer.run(made, first.stored)
                #expect(second.kept == first.kept)
                #expect(second.values == first.values || format == .f32)
            }
        }
    }

    @Test func whatWandaPrunedStaysAndCounts() throws {
        let layer = SolverCase(rows: 8, columns: 32, tokens: 90, seed: 12)
        let start = try layer.run(try method("wanda", ("sparsity", "0.3")))
        let more = try layer.run(
            try method("sparsegpt", ("sparsity", "0.5"), ("block_size", "8")), start.stored)
        #expect(more.layer.mask!.isSubset(of: start.layer.mask!))
        #expect(more.layer.mask!.prunedCount == 128)
        let same = try layer.run(try method("sparsegpt", ("sparsity", "0")), start.stored)
        #expect(same.layer.mask == start.layer.mask)
        // Nothing is lost anew, so nothing is made up for.
        #expect(same.values == start.values)
    }

    @Test func silentChannelsArePrunedAndTold() throws {
        var layer = SolverCase(seed: 13)
        for index in layer.inputs.indices where index % 16 == 3 { layer.inputs[index] = 0 }
        let outcome = try layer.run(try method("sparsegpt", ("sparsity", "0.25")))
        #expect((0..<8).allSatisfy { !outcome.layer.mask![$0, 3] })
        #expect(outcome.report[figure: "deadChannels"] == 1)
        #expect(outcome.layer.mask!.prunedCount == 32)
    }

    @Test func inputsThatAreAlikeNeedDamping() throws {
        var layer = SolverCase(seed: 14)
        for index in layer.inputs.indices where index % 16 == 5 {
            layer.inputs[index] = layer.inputs[index - 1]
        }
        let error = #expect(throws: PruningError.self) {
            _ = try layer.run(try method("sparsegpt", ("damping", "0")))
        }
        guard case .singular(let name, let channel) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(name == "w" && (4...5).contains(channel))
        let outcome = try layer.run(try method("sparsegpt"))
        #expect(outcome.values.allSatisfy { $0.isFinite })
        // Fewer tokens than channels: damping decides.
        let short = try SolverCase(tokens: 3, seed: 15).run(try method("sparsegpt"))
        #expect(short.values.allSatisfy { $0.isFinite } && short.layer.mask!.prunedCount == 64)
    }

    /// The stored codes are those that the sweep chose, on the scales of the source.
    @Test(arguments: ["q4_0", "q4_1", "q8_0", "int8", "int4"])
    func roundsToTheSourcesGridInTheSweep(_ name: String) throws {
        let layer = SolverCase(rows: 5, columns: 64, tokens: 150, seed: 16)
        let pool = try KernelPool(threads: 2)
        let source = try layer.matrix(try #require(WeightFormats.named(name)), on: pool)
        let given = source.floats(on: pool).map(Double.init)
        let grid = try #require(QuantGrid(of: source, on: pool))
        let outcome = try layer.run(try method("sparsegpt", ("block_size", "32")), source)
        #expect(outcome.stored.format.name == "masked-" + name)
        #expect(outcome.layer.replacement?.format.name == name)
        let expected = NaiveSweep(
            given, rows: 5, hessian: layer.damped(0.01), .share(0.5, block: 32)
        ) { row, column, value in grid.nearest(row, column, value) }
        #expect(outcome.kept == expected.kept)
        for (a, b) in zip(outcome.values, expected.weights) {
            #expect(abs(Double(a) - b) <= 1e-6 * max(1, abs(b)))
        }
        let loss = NaiveSweep.quadratic(given, outcome.values.map(Double.init), rows: 5, layer.damped(0.01))
            .reduce(0, +)
        #expect(abs(loss - outcome.report[figure: "loss"]!) < 1e-3 * loss)
        // Afterwards: the same grid, other codes.
        let after = try layer.run(try method("sparsegpt", ("block_size", "32"), ("joint", "false")), source)
        #expect(after.stored.format == outcome.stored.format)
        for (index, value) in after.values.enumerated() where after.kept[index] {
            #expect(abs(grid.nearest(index / 64, index % 64, Double(value)) - Double(value)) < 1e-6)
        }
    }

    @Test(arguments: [StoredForm.int8, .int4(group: 32), .f16])
    func storesInAnotherForm(_ form: StoredForm) throws {
        let layer = SolverCase(rows: 6, columns: 64, tokens: 150, seed: 17)
        let outcome = try layer.run(try method("sparsegpt"), store: form)
        #expect(outcome.stored.format == form.format(of: outcome.layer.matrix))
        #expect(outcome.stored.mask == outcome.layer.mask)
        #expect(outcome.layer.mask!.prunedCount == 192)
        let before = layer.weights.map(Double.init)
        let none = zip(before, outcome.kept).map { $1 ? $0 : 0 }
        let losses = [outcome.values.map(Double.init), none].map {
            NaiveSweep.quadratic(before, $0, rows: 6, layer.damped(0.01)).reduce(0, +)
        }
        #expect(losses[0] < losses[1])
    }

    @Test func threadsChangeNothing() throws {
        let layer = SolverCase(rows: 75, columns: 160, tokens: 200, seed: 18)
        let first = try layer.run(try method("sparsegpt", ("sparsity", "0.6")), threads: 1)
        for threads in [2, 4] {
            let other = try layer.run(try method("sparsegpt", ("sparsity", "0.6")), threads: threads)
            #expect(other.values == first.values && other.layer.mask == first.layer.mask)
        }
    }

    @Test func settingsAreChecked() throws {
        #expect(
            throws: ConfigurationError.badValue(key: "block_size", value: "0", expected: "1 to 256 columns")
        ) { _ = try method("sparsegpt", ("block_size", "0")) }
        #expect(
            throws: ConfigurationError.badValue(
                key: "damping", value: "-0.1", expected: "a share of H's mean diagonal, 0 or more")
        ) { _ = try method("sparsegpt", ("damping", "-0.1")) }
        #expect(
            throws: ConfigurationError.badValue(key: "block_size", value: "1.5", expected: "a whole number")
        ) {
            _ = try method("sparsegpt", ("block_size", "1.5"))
        }
    }

    // MARK: Whole models

    private func prune(
        _ model: LanguageModel, _ settings: (String, String)..., threads: Int = 2, stepTokens: Int = 1024,
        windows: [[TokenID]] = TinyLlama.windows(4, length: 40)
    ) throws -> PruningReport {
        var pruner = SequentialPruner(try method("sparsegpt", settings), threads: threads)
        pruner.stepTokens = stepTokens
        return try pruner.prune(model, windows: windows)
    }

    @Test(arguments: ["tied", "tied-q4_1.gguf", "untied-f16.gguf"])
    func prunesAModelAndKeepsItsMaskTheSecondTime(_ name: String) throws {
        let model = try TinyLlama.model(name)
        let report = try prune(model)
        #expect(report.pruned == report.prunable / 2)
        let layers = PrunableLayers(model).layers
        let pool = try KernelPool(threads: 2)
        let masks = layers.map { $0.parameter.matrix.nonzeros(on: pool) }
        _ = try prune(model)
        for (layer, mask) in zip(layers, masks) {
            #expect(layer.parameter.matrix.nonzeros(on: pool).isSubset(of: mask))
            #expect(layer.parameter.matrix.mask.map { $0.prunedCount == $0.count / 2 } ?? true)
        }
    }

    @Test func threadsAndStepsChangeNoModel() throws {
        func masks(_ threads: Int, _ stepTokens: Int) throws -> [String] {
            let report = try prune(
                try TinyLlama.model("tied-q4_1.gguf"), threads: threads, stepTokens: stepTokens,
                windows: TinyLlama.windows(5, length: 30))
            return report.layers.map(\.maskSHA256)
        }
        let first = try masks(1, 1024)
        #expect(try masks(3, 1024) == first)
        #expect(try masks(2, 60) == first)
    }

    /// One stage after the other, later layers see what became of those before.
    @Test func trueSequentialDiffersWhereItShould() throws {
        let together = try prune(try TinyLlama.model("tied-q8_0.gguf"))
        let stages = try prune(try TinyLlama.model("tied-q8_0.gguf"), ("true_sequential", "true"))
        #expect(stages.pruned == together.pruned)
        let equal = zip(together.layers, stages.layers).map { $0.maskSHA256 == $1.maskSHA256 }
        // q, k and v of the first block read the embedding alone.
        #expect(equal[0..<3].allSatisfy { $0 })
        #expect(equal[3...].contains(false))
    }
}
