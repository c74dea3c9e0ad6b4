import WinnowCompress
import WinnowCore
import WinnowData
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowWeights

/// Looks for the recipe that makes the best model under a target, on this machine.
///
/// Sizes are predicted first, and rule out what is too large. The others are run on a few windows of text, from the
/// weights as given, and measured. The best of those that meet the target is followed again from the file with all
/// samples, written, opened and measured; only what holds then is recommended, else the next best is tried.
public struct Recommender {
    public let loaded: LoadedModel
    public let target: RecommendationTarget
    public let texts: (calibration: TextSource, scoring: TextSource)
    public var space = RecommendationSpace.standard
    public var threads: Int
    /// How models run when they are scored and timed.
    public var activations = ActivationMode.fast
    public var kvType = KVType.f16
    public var seed: UInt64 = 0
    /// Of quick runs.
    public var quick = Effort(samples: 16, windows: 4)
    /// Of the run that verifies.
    public var full = Effort(samples: 128, windows: 16)
    /// Winners of quick runs that are verified before it is said that none meets the target.
    public var attempts = 3
    public var cancellation: CancellationFlag?
    /// Called with the name of what is tried, and how far it is.
    public var progress: (String, RecipeProgress) -> Void = { _, _ in }
    /// For the record beside the model.
    public var version = ""

    /// How much text is looked at.
    public struct Effort: Sendable {
        /// Calibration windows.
        public var samples: Int
        /// Windows that are scored.
        public var windows: Int

        public init(samples: Int, windows: Int) {
            self.samples = samples
            self.windows = windows
        }
    }

    public init(
        _ loaded: LoadedModel, target: RecommendationTarget,
        texts: (calibration: TextSource, scoring: TextSource), threads: Int
    ) {
        self.loaded = loaded
        self.target = target
        self.texts = texts
        self.threads = threads
        // Of the weights as given: a trial changes those in memory.
        besideWeights = max(0, loaded.checkpoint.fileBytes - loaded.model.byteCount)
    }

    /// The space with predicted sizes on disk, the model as given first; nothing is run.
    public func trials() throws -> [Recommendation.Trial] {
        let given = Recommendation.Trial(
            name: "as given", recipe: nil, predictedBytes: loaded.checkpoint.fileBytes)
        return try [given]
            + space.candidates.map {
                Recommendation.Trial(
                    name: $0.name, recipe: $0.recipe,
                    predictedBytes: try RecipeRun($0.recipe, on: loaded, threads: threads).predictedBytes()
                        + besideWeights)
            }
    }

    /// Files beside the weights as given: the tokenizer.
    private let besideWeights: Int

    /// What is held in the recipe that holds most, beside the program.
    public func memoryPlan(windows: Int) -> MemoryPlan {
        let plans = space.candidates.map {
            RecipeRun(effort($0.recipe, full), on: loaded, threads: threads).memoryPlan(windows: windows)
        }
        var plan = plans.max { $0.total < $1.total } ?? MemoryPlan()
        plan.add("the model again, as written", bytes: loaded.model.byteCount)
        return plan
    }

    /// - Parameter folder: where what is recommended is written.
    /// - Throws: what following a recipe and writing throw; the model in memory is as it was.
    public func recommend(into folder: String, overwrite: Bool = false) throws -> Recommendation {
        var trials = try trials()
        let snapshot = WeightSnapshot(loaded.model)
        trials[0].quick = try figures(of: nil, quick)
        for index in trials.indices.dropFirst() {
            if let bytes = target.bytes, Double(trials[index].predictedBytes) > Double(bytes) * 1.02 {
                continue
            }
            defer { snapshot.restore() }
            trials[index].quick = try figures(of: trials[index], quick)
        }
        let given = trials[0].quick!
        let whole = try figures(of: nil, full)
        trials[0].verified = whole
        var found = Recommendation(trials: trials, given: (given, whole))
        let order = trials.indices.filter {
            trials[$0].quick.map { target.miss($0, given: given) == 0 } ?? false
        }.sorted { target.prefers(trials[$0].quick!, to: trials[$1].quick!) }
        // What does not hold never stands under the name.
        let place = try AtomicOutput(folder, .folder, overwrite: overwrite)
        for index in order.prefix(attempts) {
            if index > 0 {
                found.trials[index].verified = try verify(found.trials[index], in: place.partialPath)
            }
            guard target.miss(found.trials[index].verified!, given: whole) == 0 else { continue }
            found.chosen = index
            if index > 0 { try place.commit() }
            break
        }
        func distance(_ trial: Recommendation.Trial) -> Double? {
            trial.verified.map { target.miss($0, given: whole) }
                ?? trial.quick.map { target.miss($0, given: given) }
        }
        let near = found.trials.indices.filter { distance(found.trials[$0]) != nil }.min {
            distance(found.trials[$0])! < distance(found.trials[$1])!
        }
        found.nearest = found.chosen ?? near ?? 0
        found.distance = distance(found.trials[found.nearest]) ?? 0
        return found
    }

    // MARK: One recipe

    private func effort(_ recipe: Recipe, _ effort: Effort) -> Recipe {
        var recipe = recipe
        let context = loaded.model.configuration.contextLength
        recipe.seed = seed
        recipe.calibration.samples = effort.samples
        recipe.calibration.length = min(512, context)
        var evaluation = Recipe.Evaluation()
        evaluation.window = min(512, context)
        evaluation.maxWindows = effort.windows
        recipe.evaluation = evaluation
        return recipe
    }

    private func run(_ recipe: Recipe, on model: LoadedModel, _ name: String) -> RecipeRun {
        var run = RecipeRun(recipe, on: model, threads: threads)
        run.standardTexts = (texts.calibration, texts.scoring)
        run.activations = activations
        run.kvType = kvType
        run.cancellation = cancellation
        run.progress = { progress(name, $0) }
        return run
    }

    /// - Parameter trial: nil: the model as it is.
    private func figures(
        of trial: Recommendation.Trial?, _ effort: Effort, on model: LoadedModel? = nil
    ) throws -> Recommendation.Figures {
        let model = model ?? loaded
        var run = run(self.effort(trial?.recipe ?? Recipe(), effort), on: model, trial?.name ?? "as given")
        run.measuresBefore = trial == nil
        let result = try run.run()
        guard let score = result.phases.last?.perplexity ?? result.before else {
            preconditionFailure("an evaluation without a figure")
        }
        let layers = PrunableLayers(model.model)
        let pool = try KernelPool(threads: threads)
        let isWhole = trial == nil
        return Recommendation.Figures(
            perplexity: score.perplexity, standardError: score.standardError,
            bytes: isWhole ? model.checkpoint.fileBytes : model.model.byteCount + besideWeights,
            tokensPerSecond: try decodeSpeed(model),
            sparsity: Double(layers.zeros(on: pool)) / Double(max(layers.weightCount, 1)),
            bitsPerWeight: Double(layers.byteCount) * 8 / Double(max(layers.weightCount, 1)))
    }

    private func decodeSpeed(_ model: LoadedModel) throws -> Double {
        var benchmark = SpeedBenchmark()
        benchmark.promptTokens = 0
        benchmark.generateTokens = min(64, model.model.configuration.contextLength - 1)
        benchmark.repeats = 3
        benchmark.samplesBandwidth = false
        benchmark.seed = seed
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = activations
        configuration.kvType = kvType
        let runner = try ModelRunner(model.model, configuration)
        return try benchmark.run(runner, cancellation: cancellation).decodeTokensPerSecond
    }

    /// Follows a recipe from the file, writes what it makes, and measures what was written.
    private func verify(_ trial: Recommendation.Trial, in folder: String) throws -> Recommendation.Figures {
        let fresh = try LoadedModel(opening: loaded.checkpoint.path)
        let recipe = effort(trial.recipe ?? Recipe(), full)
        let result = try run(recipe, on: fresh, "verifying \(trial.name)").run()
        let record = RecipeRecord(recipe, result, model: loaded.checkpoint.path, version: version)
        try result.loaded.write(
            to: folder, overwrite: true, record: record.json,
            notes: [(RecipeRecord.recipeName, record.yaml)])
        return try figures(of: nil, full, on: try LoadedModel(opening: folder))
    }
}
