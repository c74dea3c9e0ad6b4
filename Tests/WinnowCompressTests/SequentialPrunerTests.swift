import Testing
import WinnowCompress
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

private let sources = [
    "tied", "untied", "tied-q4_0.gguf", "tied-q4_1.gguf", "tied-q8_0.gguf", "untied-f16.gguf",
]

/// Kept flags of a pruned layer: its mask, or what is not zero where the format has none.
private func kept(_ matrix: WeightMatrix, on pool: KernelPool) -> [Bool] {
    matrix.mask?.flags ?? matrix.floats(on: pool).map { $0 != 0 }
}

private func prune(
    _ model: LanguageModel, _ settings: (String, String)..., threads: Int = 2, windows: [[TokenID]]? = nil,
    store: StoredForm = .source
) throws -> PruningReport {
    var pruner = SequentialPruner(try method("wanda", settings), threads: threads)
    pruner.store = store
    return try pruner.prune(model, windows: windows ?? TinyLlama.windows(3, length: 40))
}

private func logits(_ model: LanguageModel, _ mode: ActivationMode) throws -> [Float] {
    var configuration = ModelRunner.Configuration(threads: 2)
    configuration.activations = mode
    configuration.logitRows = 21
    let runner = try ModelRunner(model, configuration)
    let sequence = runner.makeSequence(capacity: 21)
    runner.begin()
    try TinyLlama.windows(1, length: 21, seed: 8)[0].withUnsafeBufferPointer {
        try runner.append($0, to: sequence)
    }
    try runner.run()
    return try Array(runner.logits(rows: 0..<21))
}

@Suite struct SequentialPrunerTests {
    @Test(arguments: sources)
    func masksEqualTheNaiveWalkInFloat64(_ name: String) throws {
        let pool = try KernelPool(threads: 1)
        let windows = TinyLlama.windows(3, length: 40)
        for settings in [("sparsity", "0.5"), ("sparsity", "0.6"), ("pattern", "2:4")] {
            let expected = try Naive.wanda(try TinyLlama.model(name), windows) { weights, squares in
                settings.0 == "pattern"
                    ? Naive.wandaNOfM(weights, squares, n: 2, m: 4)
                    : Naive.wandaByRow(weights, squares, sparsity: Double(settings.1)!)
            }
            let model = try TinyLlama.model(name)
            let report = try prune(model, settings, windows: windows)
            for layer in PrunableLayers(model).layers {
                #expect(
                    kept(layer.parameter.matrix, on: pool) == expected[layer.name]!,
                    "\(layer.name), \(settings)")
            }
            #expect(report.pruned == expected.values.reduce(0) { $0 + $1.count { !$0 } })
            #expect(report.zeros == PrunableLayers(model).zeros(on: pool))
            #expect(report.zeros >= report.pruned)
        }
    }

    @Test func threadsAndStepsChangeNothing() throws {
        let windows = TinyLlama.windows(5, length: 30)
        func masks(_ threads: Int, _ stepTokens: Int) throws -> [String] {
            var pruner = SequentialPruner(try method("wanda"), threads: threads)
            pruner.stepTokens = stepTokens
            return try pruner.prune(try TinyLlama.model("tied-q4_1.gguf"), windows: windows).layers.map(
                \.maskSHA256)
        }
        let alone = try masks(1, 30)
        #expect(Set(alone).count == alone.count)
        for (threads, tokens) in [(2, 30), (4, 7), (1, 64), (2, 1024)] {
            #expect(try masks(threads, tokens) == alone, "\(threads) threads, \(tokens) tokens")
        }
    }

    @Test func keptWeightsKeepTheirBitsAndScales() throws {
        let pool = try KernelPool(threads: 1)
        for name in sources {
            let before = try TinyLlama.model(name)
            let after = try TinyLlama.model(name)
            _ = try prune(after)
            for (old, new) in zip(PrunableLayers(before).layers, PrunableLayers(after).layers) {
                let (a, b) = (old.parameter.matrix.floats(on: pool), new.parameter.matrix.floats(on: pool))
                let flags = kept(new.parameter.matrix, on: pool)
                #expect(
                    a.indices.allSatisfy { flags[$0] ? a[$0] == b[$0] : b[$0] == 0 }, "\(name), \(old.name)")
            }
            #expect(
                before.embedding.matrix.parts.values.bytes.elementsEqual(
                    after.embedding.matrix.parts.values.bytes))
        }
    }

    @Test(arguments: [StoredForm.source, .int8, .int4(group: 32), .f16], ["tied", "untied", "packed"])
    func theReopenedModelIsTheSameToTheBit(_ store: StoredForm, name: String) throws {
        try TemporaryFolder.with { folder in
            let pool = try KernelPool(threads: 2)
            var source = try TinyLlama.open(name == "packed" ? "tied-q4_1.gguf" : name)
            if name == "packed" {
                try ModelConversion(to: .packed).write(
                    source, to: "\(folder)/packed", overwrite: false, on: pool)
                source = try Checkpoint.open("\(folder)/packed")
            }
            let model = try LanguageModel(source)
            // int4 wants whole groups; the untied model's linears are 32 and 64 wide.
            let report = try prune(model, store: store)
            var matrices: [String: WeightMatrix] = [:]
            for layer in PrunableLayers(model).layers { matrices[layer.name] = layer.parameter.matrix }
            try CheckpointWriter("\(folder)/out").write(source) {
                if let matrix = matrices[$0] { return .matrix(matrix) }
                return try source.tensor($0)
            }
            let reopened = try LanguageModel(Checkpoint.open("\(folder)/out"))
            for mode in ActivationMode.allCases {
                #expect(try logits(reopened, mode) == logits(model, mode), "\(mode)")
            }
            let layers = PrunableLayers(reopened)
            #expect(layers.zeros(on: pool) == report.zeros)
            #expect(layers.byteCount == report.bytes)
            for (layer, written) in zip(layers.layers, report.layers) {
                guard let mask = layer.parameter.matrix.mask else { continue }
                #expect(mask.sha256() == written.maskSHA256)
                #expect(mask.prunedCount == written.pruned)
            }
        }
    }

    /// The rows of q and k are written in another order than a GGUF file has them.
    @Test func hashesAreOfTheMasksAsWritten() throws {
        try TemporaryFolder.with { folder in
            let source = try TinyLlama.open("tied-q4_0.gguf")
            let model = try LanguageModel(source)
            let report = try prune(model)
            var matrices: [String: WeightMatrix] = [:]
            for layer in PrunableLayers(model).layers { matrices[layer.name] = layer.parameter.matrix }
            try CheckpointWriter("\(folder)/out").write(source) {
                if let matrix = matrices[$0] { return .matrix(matrix) }
                return try source.tensor($0)
            }
            let reopened = try LanguageModel(Checkpoint.open("\(folder)/out"))
            for (layer, written) in zip(PrunableLayers(reopened).layers, report.layers) {
                #expect(layer.parameter.matrix.mask?.sha256() == written.maskSHA256, "\(layer.name)")
            }
            let difference = zip(try logits(model, .exact), try logits(reopened, .exact)).map { abs($0 - $1) }
                .max()
            #expect(try #require(difference) < 1e-4)
        }
    }

    @Test func pruningAgainOnlyAddsZeros() throws {
        let pool = try KernelPool(threads: 1)
        let model = try TinyLlama.model("tied-q8_0.gguf")
        _ = try prune(model, ("sparsity", "0.6"))
        let first = PrunableLayers(model).layers.map { $0.parameter.matrix.mask! }
        let report = try prune(model, ("sparsity", "0.3"))
        for (layer, mask) in zip(PrunableLayers(model).layers, first) {
            #expect(layer.parameter.matrix.mask!.isSubset(of: mask))
        }
        #expect(report.zeros == PrunableLayers(model).zeros(on: pool))
    }

    @Test func damagedWeightsAreNamedAndTheModelIsLeftAlone() throws {
        let pool = try KernelPool(threads: 1)
        let model = try TinyLlama.model("tied")
        let layer = try #require(model.blocks[1].feedForward).up.weight
        var values = layer.matrix.floats(on: pool)
        values[3 * layer.matrix.columns + 5] = .nan
        layer.replace(
            with: try WeightMatrix(
                format: .f32, rows: layer.matrix.rows, columns: layer.matrix.columns,
                parts: .init(values: StorageSlice(copying: values)), name: "up"))
        let before = PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) }
        // Magnitude meets the weight itself, Wanda the values that it makes.
        #expect(throws: SelectionError.notFinite(name: layer.name, row: 3)) {
            _ = try SequentialPruner(try method("magnitude", ("scope", "row")), threads: 2).prune(model)
        }
        #expect(throws: PruningError.self) { _ = try prune(model) }
        #expect(PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) } == before)
    }

    @Test func badCalibrationIsRefused() throws {
        let model = try TinyLlama.model("tied-q4_0.gguf")
        #expect(throws: PruningError.needsCalibration(method: "wanda")) { _ = try prune(model, windows: []) }
        #expect(throws: PruningError.unevenWindows(index: 1, tokens: 7, expected: 8)) {
            _ = try prune(
                model, windows: [[TokenID](repeating: 1, count: 8), [TokenID](repeating: 1, count: 7)])
        }
        #expect(throws: PruningError.windowTooLong(tokens: 129, context: 128)) {
            _ = try prune(model, windows: TinyLlama.windows(1, length: 129))
        }
        #expect(throws: ModelError.tokenOutOfRange(id: 288, vocabulary: 288)) {
            _ = try prune(model, windows: [[288]])
        }
    }

    @Test func cancelledWorkLeavesTheModelAlone() throws {
        let model = try TinyLlama.model("tied-q4_0.gguf")
        let before = PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) }
        let flag = CancellationFlag()
        let pruner = SequentialPruner(try method("wanda"), threads: 1)
        #expect(throws: PruningError.cancelled) {
            _ = try pruner.prune(model, windows: TinyLlama.windows(2, length: 20), cancellation: flag) {
                done, _ in
                if done == 1 { flag.cancel() }
            }
        }
        #expect(PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) } == before)
    }

    @Test func progressCountsBlocks() throws {
        var seen: [[Int]] = []
        let pruner = SequentialPruner(try method("magnitude"), threads: 1)
        _ = try pruner.prune(try TinyLlama.model("tied-q4_0.gguf")) { seen.append([$0, $1]) }
        #expect(seen == [[0, 2], [1, 2], [2, 2]])
    }

    @Test func prunableLayersAreTheLinearsOfTheBlocks() throws {
        let model = try TinyLlama.model("untied-f16.gguf")
        let layers = PrunableLayers(model).layers
        #expect(layers.count == 14)
        #expect(Set(layers.map(\.name)).count == 14)
        #expect(
            !layers.contains {
                $0.name.contains("norm") || $0.name.contains("embed") || $0.name == "lm_head.weight"
            })
        #expect(Set(layers.map { "\($0.block) \($0.input)" }).count == 8)
    }
}
