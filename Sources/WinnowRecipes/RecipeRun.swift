import WinnowCompress
import WinnowCore
import WinnowData
import WinnowEval
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTrain
import WinnowWeights

/// A recipe at work on a model in memory: phase after phase, nothing written in between but what training keeps.
public struct RecipeRun {
    public let recipe: Recipe
    public let loaded: LoadedModel
    public var threads: Int
    /// How evaluations run; phases calibrate and train as the recipe says.
    public var activations = ActivationMode.fast
    public var kvType = KVType.f16
    /// Where phases of training keep tokens, checkpoints and logs, one folder a phase; a run that was stopped goes on
    /// from there. nil: a recipe with such a phase is refused.
    public var workFolder: String?
    /// What a recipe that names no text calibrates on and scores.
    public var standardTexts: (calibration: TextSource?, scoring: TextSource?) = (nil, nil)
    /// Whether an evaluation begins with the model as given.
    public var measuresBefore = true
    public var cancellation: CancellationFlag?
    /// Called with what is being done, how far, and of how much.
    public var progress: (RecipeProgress) -> Void = { _ in }
    /// Called when a phase of training is over: for pages.
    public var trained: (TrainingRun, TrainingRun.Ending, _ phase: Int) throws -> Void = { _, _, _ in }

    public init(_ recipe: Recipe, on loaded: LoadedModel, threads: Int) {
        self.recipe = recipe
        self.loaded = loaded
        self.threads = threads
    }

    public struct Result {
        public let phases: [PhaseReport]
        /// Of the model as given; nil without an evaluation.
        public let before: Perplexity.Result?
        public let calibration: CalibrationWindows?
        public let scoring: TextSource?
        /// What the phases left: the model that was given, changed in place, or what was made of it by dropping.
        public let loaded: LoadedModel
    }

    /// Runs all phases; the model has changed in place. A phase that drops structures makes another one: ``Result/loaded``.
    ///
    /// - Throws: ``RecipeRunError``, `PruningError`, `StructureError`, `TrainingError`, `TextSourceError`, and what opening and reading throw.
    public func run() throws -> Result {
        try checkFiles()
        var loaded = self.loaded
        let windows = try calibrationWindows()
        let scoring = try scoringText()
        let before = measuresBefore ? try scoring.map { try measure(loaded, $0, phase: nil) } : nil
        var reports: [PhaseReport] = []
        for (index, phase) in recipe.phases.enumerated() {
            let start = ContinuousClock.now
            var report: PhaseReport
            switch phase {
            case .compress(let phase): report = try compress(loaded.model, phase, index, windows)
            case .drop(let phase): report = try drop(&loaded, phase, index, windows)
            case .finetune(let phase): report = try finetune(loaded, phase, index, windows)
            }
            report.seconds = (ContinuousClock.now - start) / .seconds(1)
            report.perplexity = try scoring.map { try measure(loaded, $0, phase: index) }
            reports.append(report)
        }
        return Result(phases: reports, before: before, calibration: windows, scoring: scoring, loaded: loaded)
    }

    /// What is held in the phase that holds most, beside the program.
    public func memoryPlan(windows: Int) -> MemoryPlan {
        let plans = recipe.phases.map { phase in
            switch phase {
            case .compress(let phase):
                phase.pruner(threads: threads, seed: recipe.seed, recipe.calibration).memoryPlan(
                    for: loaded.model, windows: windows, length: recipe.calibration.length,
                    readsAll: recipe.evaluation != nil)
            case .drop(let phase):
                phase.pruner(threads: threads, recipe.calibration).memoryPlan(
                    for: loaded.model, windows: windows, length: recipe.calibration.length)
            case .finetune(let phase): Trainer.memoryPlan(for: loaded.model, phase.training)
            }
        }
        return plans.max { $0.total < $1.total } ?? MemoryPlan()
    }

    /// Each layer's rule and formats, phase by phase, found without running any: layers that a phase drops are still in
    /// the rules of those after it.
    ///
    /// - Throws: `ConfigurationError` for a selection that matches nothing.
    public func layerRules() throws -> [(phase: String, layers: [LayerRule])] {
        var formats: [String: WeightFormat] = [:]
        let all = PrunableLayers(loaded.model).layers
        for layer in all { formats[layer.name] = layer.parameter.matrix.format }
        return try recipe.phases.map { phase in
            guard case .compress(let compression) = phase else { return (phase.summary, []) }
            let rules = try compression.selection.layers(of: loaded.model).layers.map { layer in
                let stored = compression.store.format(of: layer.parameter.matrix)
                let isMasked = compression.method.goal.sparsity > 0 || formats[layer.name]?.isMasked == true
                let to = compression.method.leavesFloats ? .f32 : isMasked ? stored : stored.dense
                defer { formats[layer.name] = to }
                return LayerRule(
                    name: layer.name, rule: compression.summary, from: formats[layer.name]?.name ?? "",
                    to: to.name)
            }
            return (phase.summary, rules)
        }
    }

    public struct LayerRule: Sendable, Equatable {
        public let name: String
        public let rule: String
        public let from: String
        public let to: String
    }

    // MARK: Texts

    /// The windows that phases calibrate on; nil when none looks at activations.
    public func calibrationWindows() throws -> CalibrationWindows? {
        guard recipe.phases.contains(where: { needsCalibration($0) }) else { return nil }
        let settings = recipe.calibration
        let context = loaded.model.configuration.contextLength
        guard settings.length <= context else {
            throw PruningError.windowTooLong(tokens: settings.length, context: context)
        }
        guard let text = try settings.text.map({ try TextSource(reading: $0) }) ?? standardTexts.calibration
        else {
            throw RecipeRunError.noText(what: "calibration")
        }
        return try CalibrationWindows(
            text, tokenizer: loaded.tokenizer, samples: settings.samples, length: settings.length,
            seed: recipe.seed)
    }

    /// What later phases read must be there before the first takes its time.
    private func checkFiles() throws {
        for case .compress(let phase) in recipe.phases {
            if let path = phase.profile, FilePath.kind(path) == nil {
                throw RecipeRunError.noProfile(path: path)
            }
        }
        for case .finetune(let phase) in recipe.phases {
            guard workFolder != nil else { throw RecipeRunError.noWorkFolder }
            for path in [phase.corpus.text, phase.corpus.validation].compactMap({ $0 })
            where FilePath.kind(path) != .file {
                throw RecipeRunError.noFile(path: path)
            }
        }
    }

    func needsCalibration(_ phase: Recipe.Phase) -> Bool {
        switch phase {
        case .compress(let phase):
            phase.pruner(threads: threads, seed: recipe.seed, recipe.calibration).needsCalibration
        case .drop: true
        case .finetune: false
        }
    }

    private func scoringText() throws -> TextSource? {
        guard let evaluation = recipe.evaluation else { return nil }
        guard let text = try evaluation.text.map({ try TextSource(reading: $0) }) ?? standardTexts.scoring
        else {
            throw RecipeRunError.noText(what: "evaluation")
        }
        return text
    }

    private func measure(_ loaded: LoadedModel, _ text: TextSource, phase: Int?) throws -> Perplexity.Result {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = activations
        configuration.kvType = kvType
        configuration.chunk = 512
        configuration.logitRows = 64
        let runner = try ModelRunner(loaded.model, configuration)
        var perplexity = Perplexity()
        perplexity.window = recipe.evaluation?.window ?? 512
        perplexity.maxWindows = recipe.evaluation?.maxWindows
        return try perplexity.evaluate(text.joined, tokenizer: loaded.tokenizer, on: runner) {
            progress(RecipeProgress(phase: phase, what: "scoring", done: $0, total: $1, unit: "windows"))
        }
    }

    // MARK: Phases

    private func compress(
        _ model: LanguageModel, _ phase: CompressionPhase, _ index: Int, _ windows: CalibrationWindows?
    ) throws -> PhaseReport {
        var pruner = phase.pruner(threads: threads, seed: recipe.seed, recipe.calibration)
        if let path = phase.profile {
            let other = PrunableLayers(try LanguageModel(Checkpoint.open(path)))
            pruner.allocation = .profile(other.sparsities(on: try KernelPool(threads: threads)))
        }
        let what = phase.purpose == .pruning ? "pruning" : "quantizing"
        let report = try pruner.prune(
            model, windows: pruner.needsCalibration ? windows?.windows ?? [] : [],
            cancellation: cancellation
        ) {
            progress(RecipeProgress(phase: index, what: what, done: $0, total: $1, unit: "blocks"))
        }
        return PhaseReport(summary: phase.summary, compression: report)
    }

    private func drop(
        _ loaded: inout LoadedModel, _ phase: DropPhase, _ index: Int, _ windows: CalibrationWindows?
    ) throws -> PhaseReport {
        let (result, report) = try phase.pruner(threads: threads, recipe.calibration).prune(
            loaded, windows: windows?.windows ?? [], cancellation: cancellation
        ) {
            progress(RecipeProgress(phase: index, what: "scoring", done: $0, total: $1, unit: "blocks"))
        }
        loaded = result
        return PhaseReport(
            summary: phase.summary, structure: report, layers: PrunableLayers(result.model),
            on: try KernelPool(threads: threads))
    }

    private func finetune(
        _ loaded: LoadedModel, _ phase: FinetunePhase, _ index: Int, _ windows: CalibrationWindows?
    ) throws -> PhaseReport {
        guard let workFolder else { throw RecipeRunError.noWorkFolder }
        try FilePath.makeFolder(workFolder)
        let folder = "\(workFolder)/phase-\(index)"
        let pool = try KernelPool(threads: threads)
        let model = loaded.model
        var configuration = phase.training
        configuration.seed = configuration.seed == 0 ? recipe.seed : configuration.seed
        let batches = try phase.corpus.batches(
            configuration, tokenizer: loaded.tokenizer, template: loaded.template, in: folder
        ) {
            progress(RecipeProgress(phase: index, what: "tokenizing", done: $0, total: $1, unit: "bytes"))
        }
        let linears = Set(PrunableLayers(model).layers.map(\.name))
        for parameter in model.parameters {
            parameter.beginTraining(keepsZeros: linears.contains(parameter.name), on: pool)
        }
        defer { for parameter in model.parameters { parameter.endTraining() } }
        let trainer = try Trainer(
            model, configuration, data: batches.training, on: pool,
            distillation: try distillation(model, phase, pool))
        var run = try TrainingRun(
            trainer, in: folder,
            identity: identity(phase, index, text: batches.training.fingerprint, calibration: windows?.sha256)
        )
        run.validation = batches.validation
        let ending = try run.run(cancellation: cancellation) { record in
            progress(
                RecipeProgress(
                    phase: index, what: "training", done: record.step, total: configuration.steps,
                    unit: "steps", loss: record.loss))
        }
        guard ending != .stopped else { throw ModelError.cancelled }
        try trainer.verifyMasks()
        try trained(run, ending, index)
        try store(model, phase, on: pool)
        return PhaseReport(
            summary: phase.summary, training: run, text: batches.training.fingerprint,
            layers: PrunableLayers(model), on: pool)
    }

    /// Puts what was learned in place of the weights, in the phase's form.
    private func store(_ model: LanguageModel, _ phase: FinetunePhase, on pool: KernelPool) throws {
        for parameter in model.parameters {
            guard let training = parameter.training else { continue }
            guard case .matrix(let original) = parameter.value, let form = phase.store else {
                try parameter.takeMasters()
                continue
            }
            try parameter.takeMasters()
            parameter.replace(
                with: try form.store(
                    parameter.matrix, under: training.mask, inPlaceOf: original, name: parameter.name,
                    on: pool))
        }
    }

    private func distillation(_ student: LanguageModel, _ phase: FinetunePhase, _ pool: KernelPool) throws
        -> Distillation?
    {
        guard let teacher = phase.teacher else { return nil }
        let path =
            switch teacher {
            case .given: loaded.checkpoint.path
            case .model(let path): path
            }
        return try Distillation(
            phase.distillation, teacher: try LanguageModel(Checkpoint.open(path)), student: student,
            on: pool)
    }

    /// What makes a phase of training what it is: all that came before it.
    private func identity(
        _ phase: FinetunePhase, _ index: Int, text: String, calibration: String?
    ) -> JSONObject {
        var before = recipe
        before.phases = Array(recipe.phases[..<index])
        before.evaluation = nil
        return JSONObject([
            ("model", .string(loaded.checkpoint.path)),
            ("bytes", .integer(Int64(loaded.checkpoint.fileBytes))),
            ("before", .object(before.json)), ("settings", .object(phase.training.identity)),
            ("text", .string(text)), ("calibration", calibration.map { .string($0) } ?? .null),
            ("teacher", phase.json["teacher"] ?? .null),
            ("distillation", phase.json["distillation"] ?? .null),
        ])
    }
}

/// Where a ``RecipeRun`` stands.
public struct RecipeProgress: Sendable {
    /// Its place in the recipe; nil before the first.
    public let phase: Int?
    public let what: String
    public let done: Int
    public let total: Int
    public let unit: String
    public var loss: Double?
}

public enum RecipeRunError: Error, Equatable, Sendable, CustomStringConvertible {
    case noText(what: String)
    case noWorkFolder
    case noFile(path: String)
    case noProfile(path: String)

    public var description: String {
        switch self {
        case .noText(let what): "the recipe names no text for its \(what)"
        case .noFile(let path): "there is no file \(path), which a phase is to learn from"
        case .noProfile(let path): "there is no model at \(path), whose zeros a phase is to follow"
        case .noWorkFolder: "a recipe that trains needs a folder for its checkpoints"
        }
    }
}
