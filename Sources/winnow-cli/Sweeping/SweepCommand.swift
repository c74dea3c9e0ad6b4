import ArgumentParser
import CWinnowTexts
import WinnowCompress
import WinnowCore
import WinnowData
import WinnowEval
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport

struct SweepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Prune a model at many levels, measure each, and draw the curves.",
        discussion: """
            Every run begins with the model as given. --over KEY=V1,V2… gives a setting of the method several \
            values; given twice, all pairs are run. The folder gets report.html and sweep.json; a sweep that was \
            interrupted goes on where it was when it is started again with the same settings.

            A curve's knee is where log perplexity bends: the break of the two lines that fit it best.

            Examples:
              winnow sweep --model smollm2-135m-q4_1 --method magnitude,wanda \\
                --over sparsity=0.1,0.2,0.3,0.4,0.5,0.6 --output curves
              winnow sweep --model smollm2-135m-q4_1 --method sparsegpt \\
                --over pattern=2:4,4:8 --text book.txt --output patterns
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: "One or more, with commas: \(MethodRegistry.standard.names(.pruning).joined(separator: ", ")).")
    var method: String
    @Option(help: ArgumentHelp("A setting and its values.", valueName: "key=v1,v2…")) var over: [String]
    @Option(
        help: ArgumentHelp("Text to score (default: the one inside winnow).", valueName: "file"),
        completion: .file())
    var text: String?
    @Option(help: "Tokens of a scored window.") var window = 512
    @Option(help: "The most windows of it to score (default: all).") var maxWindows: Int?
    @Option(
        help: ArgumentHelp("Text to calibrate on (default: the one inside winnow).", valueName: "file"),
        completion: .file())
    var calibration: String?
    @Option(help: "Calibration windows, fewer where the text is shorter.") var samples = 128
    @Option(help: "Tokens of a calibration window.") var length = 512
    @Option(help: "How pruned matrices are kept: \(StoredForm.names.joined(separator: ", ")).") var store =
        "source"
    @Option(help: "Columns that share a scale in int4: 32, 64 or 128.") var group = 32
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Begin anew where another sweep stands.") var overwrite = false

    func validate() throws {
        guard samples > 0, length > 0 else { throw ValidationError("--samples and --length are at least 1") }
        guard window >= 2 else { throw ValidationError("--window is at least 2, not \(window)") }
        if let maxWindows, maxWindows < 1 { throw ValidationError("--max-windows is at least 1") }
        guard [32, 64, 128].contains(group) else {
            throw ValidationError("--group is 32, 64 or 128, not \(group)")
        }
        guard StoredForm(store, group: group) != nil else {
            throw ValidationError(
                "--store is one of \(StoredForm.names.joined(separator: ", ")), not \(store)")
        }
        do {
            let runs = try SweepPlan(methods: method, over: over).runs
            guard !runs.isEmpty else { throw ValidationError("--over names no value") }
        } catch let error as ConfigurationError { throw ValidationError("\(error)") }
    }

    func run() async throws {
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let plan = try SweepPlan(methods: method, over: over)
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        let scoring = try text.map { try TextSource(reading: $0) } ?? SweepCommand.embeddedScoringText
        let calibrating = try calibration.map { try TextSource(reading: $0) } ?? CompressionRun.embeddedText
        let needsCalibration = try plan.runs.contains { !(try $0.makeMethod().statistics.isEmpty) }
        let windows =
            needsCalibration
            ? try CalibrationWindows(
                calibrating, tokenizer: loaded.tokenizer, samples: samples, length: length, seed: running.seed
            ) : nil
        let conditions = JSONObject([
            ("model", .string(model.model)), ("bytes", .integer(Int64(loaded.checkpoint.fileBytes))),
            ("text", .string(scoring.name)), ("textSha256", .string(scoring.sha256)),
            ("window", .integer(Int64(window))),
            ("maxWindows", maxWindows.map { .integer(Int64($0)) } ?? .null),
            ("calibration", windows.map { .string($0.source) } ?? .null),
            ("calibrationSha256", windows.map { .string($0.sha256) } ?? .null),
            ("samples", windows.map { .integer(Int64($0.windows.count)) } ?? .null),
            ("length", windows.map { .integer(Int64($0.length)) } ?? .null), ("store", .string(store)),
            ("group", .integer(Int64(group))), ("seed", .integer(Int64(bitPattern: running.seed))),
            ("activations", .string(running.activations.rawValue)),
            ("winnow", .string(WinnowVersion.current)),
        ])
        let record = try SweepRecord(destination, conditions: conditions, overwrite: overwrite)
        try admit(plan, loaded, windows: windows?.windows.count ?? 0)

        let progress = ProgressPrinter(output)
        let sweep = SparsitySweep { method in
            var pruner = SequentialPruner(method, threads: running.threadCount)
            pruner.store = StoredForm(store, group: group)!
            pruner.seed = running.seed
            return pruner
        }
        func measure(_ name: String) throws -> Perplexity.Result {
            let runner = try ModelRunner(loaded.model, runnerConfiguration)
            var perplexity = Perplexity()
            perplexity.window = window
            perplexity.maxWindows = maxWindows
            return try perplexity.evaluate(scoring.joined, tokenizer: loaded.tokenizer, on: runner) {
                progress.update("scoring, \(name)", $0, of: $1, "windows")
            }
        }
        if record["as given"] == nil {
            let result = try measure("as given")
            let layers = PrunableLayers(loaded.model)
            try record.add(
                SweepRecord.Run(
                    name: "as given", method: "", settings: JSONObject(),
                    sparsity: Double(layers.zeros(on: try KernelPool(threads: running.threadCount)))
                        / Double(layers.weightCount),
                    bitsPerWeight: Double(layers.byteCount) * 8 / Double(layers.weightCount),
                    perplexity: result.perplexity, standardError: result.standardError, emptyRows: 0,
                    seconds: 0))
        }
        for run in plan.runs where record[run.name] == nil {
            let start = ContinuousClock.now
            let found = try sweep.run(try run.makeMethod(), on: loaded.model, windows: windows?.windows ?? [])
            {
                progress.update("pruning, \(run.name)", $0, of: $1, "blocks")
            } measure: { report in
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                return (report, try measure(run.name), seconds)
            }
            try record.add(
                SweepRecord.Run(
                    name: run.name, method: run.method, settings: run.settings, sparsity: found.0.sparsity,
                    bitsPerWeight: found.0.bitsPerWeight, perplexity: found.1.perplexity,
                    standardError: found.1.standardError,
                    emptyRows: found.0.layers.reduce(0) { $0 + $1.emptyRows }, seconds: found.2))
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

    private var runnerConfiguration: ModelRunner.Configuration {
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 64
        return configuration
    }

    /// The model twice, for the walk and for scoring, and the most that a run's walk holds.
    private func admit(_ plan: SweepPlan, _ loaded: LoadedModel, windows: Int) throws {
        var largest: MemoryPlan?
        for run in plan.runs {
            let pruner = SequentialPruner(try run.makeMethod(), threads: running.threadCount)
            let own = pruner.memoryPlan(for: loaded.model, windows: windows, length: length)
            if own.total > largest?.total ?? 0 { largest = own }
        }
        var total = largest ?? MemoryPlan()
        total.add("evaluation", bytes: ModelRunner.workspaceBytes(loaded.model, runnerConfiguration))
        total.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        output.note("predicted peak memory \(Format.bytes(total.total)), \(plan.runs.count) runs")
        try total.check(limit: running.memoryBytes)
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
