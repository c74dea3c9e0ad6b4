import WinnowCompress
import WinnowCore
import WinnowData
import WinnowEval
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowReport

/// Makes the runs of a sweep one after the other and measures each; the model is as it was after each.
struct SweepMeasurement {
    private let command: SweepCommand
    private let loaded: LoadedModel
    private let scoring: TextSource
    private let progress: ProgressPrinter
    private let pool: KernelPool
    private let snapshot: WeightSnapshot
    /// The model as given, for what is measured in turns with it and compared with its weights.
    private let reference: LanguageModel

    init(
        _ command: SweepCommand, _ loaded: LoadedModel, _ scoring: TextSource, _ progress: ProgressPrinter
    ) throws {
        self.command = command
        self.loaded = loaded
        self.scoring = scoring
        self.progress = progress
        pool = try KernelPool(threads: command.running.threadCount)
        snapshot = WeightSnapshot(loaded.model)
        reference = try LanguageModel(loaded.checkpoint)
    }

    func given() throws -> SweepRecord.Run {
        try measured(
            loaded,
            SweepPlan.Run(
                name: "as given", group: "as given", method: "", settings: JSONObject(), seed: 0,
                making: .file("")), emptyRows: 0, seconds: 0)
    }

    func measure(_ run: SweepPlan.Run, in folder: String) throws -> SweepRecord.Run {
        let start = ContinuousClock.now
        switch run.making {
        case .file(let path):
            let other = try LoadedModel(opening: path)
            let (own, wanted) = (other.model.configuration, loaded.model.configuration)
            guard own.vocabularySize == wanted.vocabularySize, own.layers == wanted.layers,
                own.width == wanted.width
            else { throw CommandError("a rival must be the same model in another form", at: path) }
            return try measured(other, run, emptyRows: 0, seconds: 0)
        case .recipe(let recipe):
            defer { snapshot.restore() }
            var work = RecipeRun(recipe, on: loaded, threads: command.running.threadCount)
            work.standardTexts.calibration = CompressionRun.embeddedText
            work.workFolder = "\(folder)/\(run.name.split(separator: " ").joined(separator: "-"))"
            work.progress = { [progress] in
                progress.update(run.name + ", " + $0.what, $0.done, of: $0.total, $0.unit)
            }
            let result = try work.run()
            let phases = result.phases
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let empty = phases.compactMap(\.compression).flatMap(\.layers).reduce(0) { $0 + $1.emptyRows }
            return try measured(result.loaded, run, emptyRows: empty, seconds: seconds)
        }
    }

    private func measured(
        _ other: LoadedModel, _ run: SweepPlan.Run, emptyRows: Int, seconds: Double
    ) throws -> SweepRecord.Run {
        let layers = PrunableLayers(other.model)
        let runner = try ModelRunner(other.model, command.runnerConfiguration)
        var perplexity = Perplexity()
        perplexity.window = command.window
        perplexity.maxWindows = command.maxWindows
        let score = try perplexity.evaluate(scoring.joined, tokenizer: other.tokenizer, on: runner) {
            progress.update("\(run.name), scoring", $0, of: $1, "windows")
        }
        var result = SweepRecord.Run(
            name: run.name, group: run.group, method: run.method, settings: run.settings,
            isPruned: isPruned(run, layers),
            sparsity: Double(layers.zeros(on: pool)) / Double(layers.weightCount),
            bitsPerWeight: Double(layers.byteCount) * 8 / Double(layers.weightCount),
            bytes: other.model.byteCount,
            perplexity: score.perplexity, standardError: score.standardError, emptyRows: emptyRows,
            seconds: seconds)
        if command.speed {
            let speeds = try speeds(runner)
            result.decodeTokensPerSecond = speeds.own
            result.decodeRatio = run.method.isEmpty ? 1 : speeds.own / speeds.given
        }
        result.blockErrors = run.method.isEmpty ? [] : blockErrors(layers)
        result.sample = try command.prompt.map { try sample($0, other, runner) }
        return result
    }

    private func isPruned(_ run: SweepPlan.Run, _ layers: PrunableLayers) -> Bool {
        if layers.layers.contains(where: { $0.parameter.matrix.format.isMasked }) { return true }
        // Formats of plain numbers have no mask.
        guard case .recipe(let recipe) = run.making else { return false }
        return recipe.prunes
    }

    /// Decoded tokens a second, in turns with the model as given: medians of five rounds.
    private func speeds(_ runner: ModelRunner) throws -> (own: Double, given: Double) {
        var benchmark = SpeedBenchmark()
        benchmark.promptTokens = 0
        benchmark.generateTokens = 32
        benchmark.repeats = 5
        benchmark.samplesBandwidth = false
        let given = try ModelRunner(reference, command.runnerConfiguration)
        let results = try benchmark.runInTurns([given, runner]) {
            progress.update("decoding in turns", $0, of: benchmark.repeats, "rounds")
        }
        return (results[1].decodeTokensPerSecond, results[0].decodeTokensPerSecond)
    }

    private func blockErrors(_ layers: PrunableLayers) -> [Double] {
        let given = Dictionary(
            uniqueKeysWithValues: PrunableLayers(reference).layers.map { ($0.name, $0.parameter.matrix) })
        return reference.blocks.indices.map { block in
            var (difference, norm) = (0.0, 0.0)
            for layer in layers.layers(ofBlock: block) {
                guard let before = given[layer.name], before.count == layer.count else { continue }
                for (old, new) in zip(before.floats(on: pool), layer.parameter.matrix.floats(on: pool)) {
                    difference += Double(new - old) * Double(new - old)
                    norm += Double(old) * Double(old)
                }
            }
            return norm > 0 ? (difference / norm).squareRoot() : 0
        }
    }

    private func sample(_ prompt: String, _ other: LoadedModel, _ runner: ModelRunner) throws -> String {
        let ids = other.tokenizer.encode(prompt)
        let generator = TextGenerator(runner: runner, tokenizer: other.tokenizer, context: ids.count + 49)
        var options = GenerationOptions()
        options.maxTokens = 48
        options.temperature = 0
        return try generator.generate(ids, options).text
    }
}
