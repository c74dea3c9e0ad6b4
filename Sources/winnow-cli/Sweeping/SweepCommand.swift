import ArgumentParser
import CWinnowTexts
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
import WinnowWeights

struct SweepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Compress a model in many ways, measure each, and draw the curves.",
        discussion: """
            Every run begins with the model as given. --over KEY=V1,V2… gives a setting several values: a key of the \
            method, or a path into the recipe such as phases.0.sparsity; given twice, all pairs are run. --rivals are \
            other files of the same model, such as the quantized ones that a sparse model has to beat. The folder gets \
            report.html and sweep.json; a sweep that was interrupted goes on where it was when it is started again \
            with the same settings.

            A curve's knee is where log perplexity bends: the break of the two lines that fit it best. With --speed \
            each run decodes in turns with the model as given; the ratio of the two holds on a machine that drifts.

            Examples:
              winnow sweep --model smollm2-135m-q4_1 --method magnitude,wanda \
                --over sparsity=0.1,0.2,0.3,0.4,0.5,0.6 --output curves
              winnow sweep --model smollm2-135m-q4_1 --recipe joint.yaml \
                --over phases.0.sparsity=0.3,0.5 --rivals model-q3_k_m.gguf --speed --output frontier
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: "One or more, with commas: \(MethodRegistry.standard.names(.pruning).joined(separator: ", ")).")
    var method: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Recipes to follow; what they calibrate on is theirs.", valueName: "file"),
        completion: .file())
    var recipe: [String] = []
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Other models to measure beside, as they are.", valueName: "model"),
        completion: .file())
    var rivals: [String] = []
    @Option(help: ArgumentHelp("A setting and its values.", valueName: "key=v1,v2…")) var over: [String] = []
    @Option(help: ArgumentHelp("Repeat each run with these seeds (default: --seed).", valueName: "s1,s2…"))
    var seeds: String?
    @Flag(help: "Measure decode speed, in turns with the model as given.") var speed = false
    @Option(
        help: ArgumentHelp("Let each run go on from this text, and show what it writes.", valueName: "text"))
    var prompt: String?
    @Option(
        help: ArgumentHelp("Text to score (default: the one inside winnow).", valueName: "file"),
        completion: .file())
    var text: String?
    @Option(help: "Tokens of a scored window.") var window = 512
    @Option(help: "The most windows of it to score (default: all).") var maxWindows: Int?
    @OptionGroup var calibration: CalibrationOptions
    @Option(help: "How pruned matrices are kept: \(StoredForm.names.joined(separator: ", ")).") var store =
        "source"
    @Option(help: "Columns that share a scale in int4: 32, 64 or 128.") var group = 32
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Begin anew where another sweep stands.") var overwrite = false

    func validate() throws {
        guard window >= 2 else { throw ValidationError("--window is at least 2, not \(window)") }
        if let maxWindows, maxWindows < 1 { throw ValidationError("--max-windows is at least 1") }
        guard [32, 64, 128].contains(group) else {
            throw ValidationError("--group is 32, 64 or 128, not \(group)")
        }
        guard StoredForm(store, group: group) != nil else {
            throw ValidationError(
                "--store is one of \(StoredForm.names.joined(separator: ", ")), not \(store)")
        }
        guard method != nil || !recipe.isEmpty || !rivals.isEmpty else {
            throw ValidationError("give --method, --recipe or --rivals")
        }
        guard seedList != nil else {
            throw ValidationError("--seeds is whole numbers with commas, each once")
        }
        do { _ = try plan() } catch let error as ConfigurationError { throw ValidationError("\(error)") }
    }

    private var seedList: [UInt64]? {
        guard let seeds else { return [running.seed] }
        let numbers = seeds.split(separator: ",", omittingEmptySubsequences: false).map { UInt64($0) }
        guard !numbers.contains(nil), Set(numbers).count == numbers.count else { return nil }
        return numbers.compactMap { $0 }
    }

    private func plan() throws -> SweepPlan {
        var base = Recipe.Calibration()
        base.text = calibration.text
        base.samples = calibration.samples
        base.length = calibration.length
        base.activations = calibration.activations
        return try SweepPlan(
            methods: method, recipes: recipe, rivals: rivals, over: over, seeds: seedList ?? [],
            store: StoredForm(store, group: group)!, calibration: base)
    }

    func run() async throws {
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let plan = try plan()
        let path = try await model.resolve(output)
        let loaded = try LoadedModel(opening: path)
        let scoring = try text.map { try TextSource(reading: $0) } ?? SweepCommand.embeddedScoringText
        let record = try SweepRecord(
            destination, conditions: conditions(loaded, scoring, plan), overwrite: overwrite)
        try admit(plan, loaded)
        let measuring = try SweepMeasurement(self, loaded, scoring, ProgressPrinter(output))
        if record["as given"] == nil { try record.add(try measuring.given()) }
        for run in plan.runs where record[run.name] == nil {
            try record.add(try measuring.measure(run, in: destination))
        }
        let report = SweepReport(record: record, model: model.model)
        try record.write(report.page)
        if output.json {
            StandardOutput.write(report.page.data)
        } else {
            StandardOutput.write(
                report.table.text + "\n" + report.lead + "\nThe page: \(destination)/report.html\n")
        }
    }

    /// What makes this sweep what it is: one under other conditions is not gone on with.
    private func conditions(_ loaded: LoadedModel, _ scoring: TextSource, _ plan: SweepPlan) throws
        -> JSONObject
    {
        let calibrating =
            try calibration.text.map { try TextSource(reading: $0) } ?? CompressionRun.embeddedText
        let recipes = try recipe.map { path -> JSONValue in
            let file = try Storage.mapping(path)
            let bytes = UnsafeRawBufferPointer(start: file.base, count: file.byteCount)
            return ["file": .string(path), "sha256": .string(SHA256.hexadecimal(of: bytes))]
        }
        return JSONObject([
            ("model", .string(model.model)), ("bytes", .integer(Int64(loaded.checkpoint.fileBytes))),
            ("text", .string(scoring.name)), ("textSha256", .string(scoring.sha256)),
            ("window", .integer(Int64(window))),
            ("maxWindows", maxWindows.map { .integer(Int64($0)) } ?? .null),
            ("calibration", .string(calibrating.name)), ("calibrationSha256", .string(calibrating.sha256)),
            ("samples", .integer(Int64(calibration.samples))),
            ("length", .integer(Int64(calibration.length))),
            ("calibrationActivations", .string(calibration.activations.rawValue)),
            ("store", .string(store)), ("group", .integer(Int64(group))), ("recipes", .array(recipes)),
            ("seed", .integer(Int64(bitPattern: running.seed))),
            ("activations", .string(running.activations.rawValue)),
            ("kvType", .string(running.kvType.rawValue)),
            ("speed", .bool(speed)), ("prompt", prompt.map { .string($0) } ?? .null),
            ("winnow", .string(WinnowVersion.current)),
        ])
    }

    var runnerConfiguration: ModelRunner.Configuration {
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 64
        return configuration
    }

    /// The model twice, for the walk and for scoring, and the most that a run's walk holds.
    private func admit(_ plan: SweepPlan, _ loaded: LoadedModel) throws {
        var largest = MemoryPlan()
        for case .recipe(let recipe) in plan.runs.map(\.making) {
            let own = RecipeRun(recipe, on: loaded, threads: running.threadCount)
                .memoryPlan(windows: recipe.calibration.samples)
            if own.total > largest.total { largest = own }
        }
        largest.add("evaluation", bytes: ModelRunner.workspaceBytes(loaded.model, runnerConfiguration))
        largest.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        output.note("predicted peak memory \(Format.bytes(largest.total)), \(plan.runs.count) runs")
        try largest.check(limit: running.memoryBytes)
    }
}

extension SweepCommand {
    /// The scoring text inside winnow.
    static var embeddedScoringText: TextSource {
        let text = winnow_scoring_text()!.pointee
        let bytes = UnsafeBufferPointer(start: text.bytes, count: text.count)
        return TextSource(name: String(cString: text.name), bytes: Array(bytes))
    }
}
