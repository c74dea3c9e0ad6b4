import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

@testable import WinnowCompress

private let fixture: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(2)
    return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
}()

@Suite struct StructuredPrunerTests {
    private let windows = (0..<6).map { window in (0..<24).map { TokenID((window * 37 + $0 * 11) % 280) } }

    private func prune(
        _ structure: Structure, _ fraction: Double, reconstructs: Bool = false, _ name: String = "untied"
    ) throws -> (given: LoadedModel, made: LoadedModel, report: StructureReport) {
        let given = try LoadedModel(opening: "\(fixture)/\(name)")
        var pruner = StructuredPruner(structure, fraction: fraction, threads: 1)
        pruner.reconstructs = reconstructs
        let (made, report) = try pruner.prune(given, windows: windows)
        return (given, made, report)
    }

    private func logits(_ loaded: LoadedModel, _ tokens: [TokenID]) throws -> [Float] {
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.activations = .exact
        configuration.kvType = .f32
        let runner = try ModelRunner(loaded.model, configuration)
        let sequence = runner.makeSequence(capacity: 128)
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        return try Array(runner.logits(rows: tokens.count - 1..<tokens.count))
    }

    private func difference(_ a: [Float], _ b: [Double]) -> Double {
        zip(a, b).map { abs(Double($0) - $1) }.max() ?? .infinity
    }

    /// Dropping is the same as zeros in the columns that read what was dropped.
    @Test(arguments: [Structure.neurons, .heads]) func whatIsLeftComputesWithoutTheRest(
        _ structure: Structure
    ) throws {
        let (given, made, report) = try prune(structure, 0.5)
        var reference = try ReferenceLlama(given.model)
        let shape = given.model.configuration
        let name = structure == .neurons ? "mlp.down_proj.weight" : "self_attn.o_proj.weight"
        for (block, scores) in report.scores.enumerated() {
            let columns = given.model.blocks[block].linears.first { $0.parameter.name.hasSuffix(name) }!
                .parameter.matrix.columns
            let width = columns / scores.count
            let left =
                structure == .neurons ? report.kept[block] : report.kept[block] * shape.headWidth / width
            let gone = Set(scores.indices).subtracting(scores.places(ofLargest: left))
            #expect(!gone.isEmpty && gone.count < scores.count)
            let key = "model.layers.\(block).\(name)"
            for index in reference.weights[key]!.indices where gone.contains(index % columns / width) {
                reference.weights[key]![index] = 0
            }
        }
        let tokens = windows[0]
        #expect(difference(try logits(made, tokens), reference.logits(tokens).last!) < 1e-4)
        #expect(report.weights < report.weightsBefore && made.model.byteCount < given.model.byteCount)
    }

    @Test func layersGoWithTheirNumbers() throws {
        let (given, made, report) = try prune(.layers, 0.5)
        #expect(made.model.blocks.count == given.model.blocks.count - report.scores.count / 2)
        let gone = Set(report.scores.indices).subtracting(report.kept)
        #expect(
            gone.allSatisfy { lost in
                report.kept.allSatisfy { report.scores[lost][0] <= report.scores[$0][0] }
            })
        var hidden = try ReferenceLlama(given.model).embed(windows[0])
        for block in report.kept { try ReferenceLlama(given.model).runBlock(block, &hidden) }
        var own = try ReferenceLlama(made.model).embed(windows[0])
        for block in made.model.blocks.indices { try ReferenceLlama(made.model).runBlock(block, &own) }
        #expect(hidden == own)
    }

    /// Scores against sums over tokens in float64.
    @Test func scoresAreThoseOfTheDenseModel() throws {
        let (given, _, neurons) = try prune(.neurons, 0.5)
        let reference = try ReferenceLlama(given.model)
        var squares: [[Double]] = []
        var cosines: [Double] = []
        var states = windows.map(reference.embed)
        for block in given.model.blocks.indices {
            var sums = [Double](repeating: 0, count: given.model.configuration.feedForwardWidth)
            var cosine = 0.0
            for window in states.indices {
                let before = states[window]
                reference.runBlock(block, &states[window]) { point, row in
                    guard point == .feedForwardHidden else { return }
                    for channel in row.indices { sums[channel] += row[channel] * row[channel] }
                }
                for (x, y) in zip(before, states[window]) {
                    let dot = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
                    let norms = x.reduce(0) { $0 + $1 * $1 } * y.reduce(0) { $0 + $1 * $1 }
                    cosine += dot / norms.squareRoot()
                }
            }
            squares.append(sums)
            cosines.append(1 - cosine / Double(windows.count * windows[0].count))
        }
        for (block, scores) in neurons.scores.enumerated() {
            let down = reference.weights["model.layers.\(block).mlp.down_proj.weight"]!
            for channel in scores.indices {
                var weights = 0.0
                for index in stride(from: channel, to: down.count, by: scores.count) {
                    weights += down[index] * down[index]
                }
                let expected = (weights * squares[block][channel]).squareRoot()
                #expect(abs(scores[channel] - expected) < 1e-4 * max(expected, 1e-3))
            }
        }
        let layers = try prune(.layers, 0.5).report
        for (score, expected) in zip(layers.scores, cosines) { #expect(abs(score[0] - expected) < 1e-5) }
    }

    @Test func whatStaysMakesUpForWhatGoes() throws {
        // Least squares on random numbers against the normal equations solved by elimination.
        var random = Random(seed: 3)
        let (tokens, columns, rows) = (40, 7, 3)
        let x = (0..<tokens * columns).map { _ in Double(random.normal()) }
        let weights = (0..<rows * columns).map { _ in random.normal() }
        var gram = [Double](repeating: 0, count: columns * columns)
        for t in 0..<tokens {
            for a in 0..<columns {
                for b in 0..<columns { gram[a * columns + b] += x[t * columns + a] * x[t * columns + b] }
            }
        }
        let kept = [0, 2, 3, 6]
        let pool = try KernelPool(threads: 2)
        let solved = try OutputReconstruction(damping: 0).weights(
            weights, columns: columns, keeping: kept, gram: GramMatrix(order: columns, values: gram), on: pool
        )
        for row in 0..<rows {
            // The residual is orthogonal to every column that stays.
            for channel in kept {
                var product = 0.0
                for t in 0..<tokens {
                    let own = (0..<columns).reduce(0.0) {
                        $0 + Double(weights[row * columns + $1]) * x[t * columns + $1]
                    }
                    let made = kept.enumerated().reduce(0.0) {
                        $0 + Double(solved[row * 4 + $1.offset]) * x[t * columns + $1.element]
                    }
                    product += (own - made) * x[t * columns + channel]
                }
                #expect(abs(product) < 1e-4)
            }
        }
    }

    @Test(arguments: [Structure.neurons, .heads]) func reconstructionComesCloser(_ structure: Structure)
        throws
    {
        let tokens = windows[1]
        let (given, plain, _) = try prune(structure, 0.5)
        let mended = try prune(structure, 0.5, reconstructs: true).made
        let expected = try logits(given, tokens).map(Double.init)
        func error(_ loaded: LoadedModel) throws -> Double {
            zip(try logits(loaded, tokens), expected).reduce(0) {
                $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1)
            }
        }
        #expect(try error(mended) < error(plain))
    }

    @Test(arguments: Structure.allCases) func whatIsWrittenOpensAlike(_ structure: Structure) throws {
        let made = try prune(structure, 0.5, reconstructs: structure != .layers, "tied").made
        try TemporaryFolder.with { folder in
            try made.write(to: folder + "/small")
            let again = try LoadedModel(opening: folder + "/small")
            #expect(try logits(again, windows[0]) == logits(made, windows[0]))
            #expect(again.model.configuration.layerShapes == made.model.configuration.layerShapes)
        }
    }

    @Test func blocksOfPackedColumnsStayAsTheyAre() throws {
        let pool = try KernelPool(threads: 1)
        var random = Random(seed: 9)
        let values = (0..<5 * 128).map { _ in random.normal() }
        let matrix = try WeightMatrix(
            format: .f32, rows: 5, columns: 128,
            parts: WeightMatrix.Parts(values: StorageSlice(copying: values)),
            name: "m"
        ).converted(to: .q4_1, on: pool, name: "m")
        let floats = matrix.floats(on: pool)
        for kept in [Array(32..<64) + Array(96..<128), Array(0..<40), [3]] {
            let selected = try matrix.selectingColumns(kept, on: pool)
            #expect(selected.format == (kept.count == 64 ? .q4_1 : .f32))
            #expect(
                selected.floats(on: pool) == (0..<5).flatMap { row in kept.map { floats[row * 128 + $0] } })
        }
    }

    @Test func whatCannotGoIsSaid() throws {
        for (structure, fraction) in [(Structure.neurons, 0.0), (.layers, 1)] {
            #expect(throws: StructureError.badFraction(fraction)) { try prune(structure, fraction) }
        }
        #expect(throws: StructureError.nothingToDrop(.layers, have: 2, fraction: 0.1)) {
            try prune(.layers, 0.1)
        }
        var pruner = StructuredPruner(.neurons, fraction: 0.5, threads: 1)
        pruner.reconstructs = false
        let given = try LoadedModel(opening: fixture + "/tied")
        #expect(throws: PruningError.needsCalibration(method: "dropping neurons")) {
            try pruner.prune(given, windows: [])
        }
        #expect(throws: PruningError.unevenWindows(index: 1, tokens: 2, expected: 3)) {
            try pruner.prune(given, windows: [[1, 2, 3], [1, 2]])
        }
        let flag = CancellationFlag()
        flag.cancel()
        #expect(throws: PruningError.cancelled) {
            try pruner.prune(given, windows: windows, cancellation: flag)
        }
    }
}
