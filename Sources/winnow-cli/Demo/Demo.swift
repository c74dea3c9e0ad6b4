import WinnowCompress
import WinnowCore
import WinnowData
import WinnowEval
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText
import WinnowWeights

/// The main job, end to end: makes versions of a model, opens what was written, and measures all of them and the
/// file as given in the same way.
struct Demo {
    let calibration: TextSource
    let scoring: TextSource
    /// How models run while they are measured.
    let running: ModelRunner.Configuration
    let versions: [DemoVersion]
    /// Windows of the scoring text, nil for as many as the machine is fast enough for, and their tokens.
    var windows: Int?
    /// Windows of the calibration text, nil as above.
    var samples: Int?
    var length = 512
    /// What scoring and calibrating should take together, in seconds.
    var budget = 120.0
    var paragraphTokens = 64
    var speed = SpeedBenchmark()
    var prompt = "Write a short paragraph about the sea."
    var seed: UInt64 = 0

    struct Outcome {
        var comparison: ModelComparison
        /// The last version that was re-quantized, matrix by matrix; empty without one.
        var layers: [LayerBar] = []
        var layersOf = ""
        var scored: Perplexity.Result
        var calibrationWindows: Int
        /// The fastest over the slowest round of the row whose decode speeds differ most.
        var speedSpread = 1.0
    }

    /// - Parameter path: the file or folder as given.
    /// - Parameter folder: where versions are written, one folder each.
    func run(_ path: String, writingTo folder: String, progress: (Progress) -> Void) throws -> Outcome {
        let given = try LoadedModel(opening: path)
        let affordable = try windows == nil || samples == nil ? affordableWindows(given) : 0
        let tokens = try calibrationWindows(given, samples ?? affordable)
        let windows = windows ?? affordable
        var measured: [Measured] = []
        measured.append(try measure(ModelComparison.Row("as given"), given, windows, progress))
        var written: [String: LoadedModel] = [:]
        for version in versions {
            let clock = ContinuousClock()
            let start = clock.now
            let place = "\(folder)/\(version.folder)"
            try make(version, from: path, written, tokens, at: place, progress)
            var row = ModelComparison.Row(version.name, remark: version.remark)
            row.seconds = (clock.now - start) / .seconds(1)
            // What is measured is what was written, opened again.
            let loaded = try LoadedModel(opening: place)
            written[version.name] = loaded
            measured.append(try measure(row, loaded, windows, progress))
        }
        var speed = speed
        speed.seed = seed
        let speeds = try speed.runInTurns(measured.map(\.runner)) {
            progress(Progress("measuring speed", completed: $0, total: speed.repeats, unit: .items("rounds")))
        }
        for (index, result) in speeds.enumerated() {
            measured[index].row.prefillTokensPerSecond = result.prefillTokensPerSecond
            measured[index].row.decodeTokensPerSecond = result.decodeTokensPerSecond
        }
        let spread = speeds.map { ($0.decodeSamples.max() ?? 1) / ($0.decodeSamples.min() ?? 1) }.max() ?? 1
        var outcome = Outcome(
            comparison: ModelComparison(base: measured[0].row, others: measured.dropFirst().map(\.row)),
            scored: measured[0].perplexity, calibrationWindows: tokens.count, speedSpread: spread)
        for (index, version) in versions.enumerated() {
            guard case .stored = version.making else { continue }
            outcome.layers = Demo.layers(measured[index + 1].runner)
            outcome.layersOf = version.name
        }
        return outcome
    }

    /// What a run holds at its peak: every version stays open until the speeds are measured in turns.
    func memoryPlan(for model: LanguageModel) -> MemoryPlan {
        var plan = MemoryPlan()
        let models = versions.count + 1
        plan.add("\(models) versions of the model as stored", bytes: models * model.byteCount)
        plan.add(
            "their workspaces", bytes: models * ModelRunner.workspaceBytes(model, measuringConfiguration))
        var pruning = 0
        for version in versions {
            guard case .pruned(let method) = version.making else { continue }
            let pruner = SequentialPruner(method, threads: running.threads)
            let needed = pruner.memoryPlan(
                for: model, windows: version.needsCalibration ? samples ?? Demo.windowChoices.last! : 0,
                length: length)
            pruning = max(pruning, needed.total)
        }
        plan.add("pruning", bytes: pruning)
        return plan
    }

    // MARK: Making

    /// Few choices, so that two runs on one machine choose the same.
    static let windowChoices = [4, 8, 16, 32]

    /// The most windows, of both texts, that fit the budget at a speed in tokens a second.
    ///
    /// A scored window passes each model once; a calibration window passes each calibrated one twice, before and
    /// after its blocks are pruned.
    func affordableWindows(tokensPerSecond: Double) -> Int {
        let passes = versions.count + 1 + 2 * versions.count(where: \.needsCalibration)
        let seconds = { (windows: Int) in Double(windows * passes * length) / tokensPerSecond }
        return Demo.windowChoices.last { seconds($0) <= budget } ?? Demo.windowChoices[0]
    }

    private func affordableWindows(_ given: LoadedModel) throws -> Int {
        var probe = SpeedBenchmark()
        probe.promptTokens = min(256, window(given.model) / 2)
        probe.generateTokens = 0
        probe.repeats = 1
        probe.samplesBandwidth = false
        let result = try probe.run(try ModelRunner(given.model, measuringConfiguration))
        return affordableWindows(tokensPerSecond: result.prefillTokensPerSecond)
    }

    private func calibrationWindows(_ given: LoadedModel, _ samples: Int) throws -> [[TokenID]] {
        guard versions.contains(where: \.needsCalibration) else { return [] }
        return try CalibrationWindows(
            calibration, tokenizer: given.tokenizer, samples: samples, length: window(given.model), seed: seed
        ).windows
    }

    private func make(
        _ version: DemoVersion, from path: String, _ written: [String: LoadedModel], _ tokens: [[TokenID]],
        at place: String, _ progress: (Progress) -> Void
    ) throws {
        let source: LoadedModel
        var made: [String: WeightMatrix] = [:]
        var recipe = JSONObject([
            ("winnow", .string(WinnowVersion.current)), ("version", .string(version.name)),
        ])
        switch version.making {
        case .pruned(let method):
            source = try LoadedModel(opening: path)
            var pruner = SequentialPruner(method, threads: running.threads)
            pruner.activations = running.activations
            pruner.seed = seed
            let report = try pruner.prune(source.model, windows: version.needsCalibration ? tokens : []) {
                progress(
                    Progress("pruning, \(version.name)", completed: $0, total: $1, unit: .items("blocks")))
            }
            for layer in PrunableLayers(source.model).layers { made[layer.name] = layer.parameter.matrix }
            recipe["method"] = .string(type(of: method).name)
            recipe["settings"] = .object(method.settings)
            recipe["result"] = .object(report.json)
        case .stored(let form, let name):
            guard let other = written[name] else {
                preconditionFailure("\(version.name) comes before \(name)")
            }
            source = other
            let pool = try KernelPool(threads: running.threads)
            let layers = PrunableLayers(other.model).layers
            for (index, layer) in layers.enumerated() {
                progress(
                    Progress(
                        "storing, \(version.name)", completed: index, total: layers.count,
                        unit: .items("layers")))
                let matrix = layer.parameter.matrix
                made[layer.name] = try form.store(
                    matrix, Demo.mask(of: matrix), on: pool, name: layer.name)
            }
            recipe["store"] = .string("\(form)")
        }
        try CheckpointWriter(place).write(source.checkpoint, recipe: recipe) { name in
            if let matrix = made[name] { return .matrix(matrix) }
            return try source.checkpoint.tensor(name)
        }
    }

    /// What the matrix keeps; a dense one with zeros keeps the rest.
    private static func mask(of matrix: WeightMatrix) -> SparsityMask {
        if let mask = matrix.mask { return mask }
        var values = [Float](repeating: 0, count: matrix.columns)
        var current = -1
        return SparsityMask(rows: matrix.rows, columns: matrix.columns) { row, column in
            if row != current {
                values.withUnsafeMutableBufferPointer { matrix.row(row, into: $0.baseAddress!) }
                current = row
            }
            return values[column] != 0
        }
    }

    // MARK: Measuring

    private struct Measured {
        var row: ModelComparison.Row
        let runner: ModelRunner
        let perplexity: Perplexity.Result
    }

    private var measuringConfiguration: ModelRunner.Configuration {
        var configuration = running
        configuration.chunk = min(max(length, 1), 512)
        configuration.logitRows = 64
        return configuration
    }

    /// A window, or the model's context where that is shorter.
    private func window(_ model: LanguageModel) -> Int { min(length, model.configuration.contextLength) }

    /// All but the speeds.
    private func measure(
        _ row: ModelComparison.Row, _ loaded: LoadedModel, _ windows: Int, _ progress: (Progress) -> Void
    ) throws -> Measured {
        var row = row
        let runner = try ModelRunner(loaded.model, measuringConfiguration)
        var perplexity = Perplexity()
        perplexity.window = window(loaded.model)
        perplexity.maxWindows = windows
        let result = try perplexity.evaluate(scoring.joined, tokenizer: loaded.tokenizer, on: runner) {
            progress(Progress("scoring, \(row.name)", completed: $0, total: $1, unit: .items("windows")))
        }
        var options = GenerationOptions()
        options.maxTokens = paragraphTokens
        options.seed = seed
        let generator = TextGenerator(runner: runner, tokenizer: loaded.tokenizer, context: 1024)
        let ids = try loaded.tokenizer.promptIDs(
            [ChatMessage(role: "user", content: prompt)], loaded.template)
        var pieces = 0
        let title = "writing, \(row.name)"
        row.text = try generator.generate(ids, options) { _ in
            pieces += 1
            progress(Progress(title, completed: pieces, total: nil, unit: .items("pieces")))
        }.text
        let layers = PrunableLayers(loaded.model)
        row.format = Demo.formats(layers)
        row.perplexity = result.perplexity
        row.standardError = result.standardError
        row.bytes = loaded.checkpoint.fileBytes
        row.bitsPerWeight = Double(layers.byteCount) * 8 / Double(max(layers.weightCount, 1))
        row.zeros = layers.zeros(on: runner.pool)
        row.prunable = layers.weightCount
        row.activations = running.activations.rawValue
        return Measured(row: row, runner: runner, perplexity: result)
    }

    private static func formats(_ layers: PrunableLayers) -> String {
        var names: [String] = []
        for layer in layers.layers where !names.contains(layer.parameter.matrix.format.name) {
            names.append(layer.parameter.matrix.format.name)
        }
        return names.joined(separator: ", ")
    }

    private static func layers(_ runner: ModelRunner) -> [LayerBar] {
        PrunableLayers(runner.model).layers.map { layer in
            let matrix = layer.parameter.matrix
            return LayerBar(
                name: layer.name, format: matrix.format.name, weights: matrix.count,
                zeros: matrix.zeros(on: runner.pool), bytes: matrix.byteCount)
        }
    }
}
