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
import WinnowReport
import WinnowWeights

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Prune a model's weights in one shot and store it under masks.",
        discussion: """
            magnitude  drops the smallest weights; looks at no text
            wanda      drops the smallest |weight| x input norm; calibrates on text

            Without --store each matrix stays in its own grid: a mask, the kept codes, the source's scales. \
            Sparsity counts the linears of the blocks; embeddings, head and norms stay as they are.

            Examples:
              winnow prune --model smollm2-135m-q4_1 --method magnitude \\
                --sparsity 0.3 --output pruned
              winnow prune --model smollm2-135m-q4_1 --method wanda --pattern 2:4 \\
                --calibration book.txt \\
                --eval other.txt --output pruned
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "One of: \(MethodRegistry.standard.entries.map(\.name).joined(separator: ", ")).")
    var method: String
    @Option(help: ArgumentHelp("Share of zeros, 0 up to, but not including, 1 (default: 0.5).", valueName: "share"))
    var sparsity: Double?
    @Option(help: ArgumentHelp("Keep N of each M consecutive weights, e.g. 2:4.", valueName: "n:m"))
    var pattern: SparsityPattern?
    @Option(
        help: ArgumentHelp(
            "Among which weights the smallest are looked for: row, matrix, global (default: the method's).",
            valueName: "scope"))
    var scope: SelectionScope?
    @Option(
        help: ArgumentHelp(
            "Text to calibrate on, or .jsonl with one {\"text\": …} a line (default: the one inside winnow).",
            valueName: "file"),
        completion: .file())
    var calibration: String?
    @Option(help: "Calibration windows, fewer where the text is shorter.") var samples = 128
    @Option(help: "Tokens of a calibration window.") var length = 512
    @Option(help: ArgumentHelp("Inputs of products while calibrating: exact or fast.", valueName: "mode"))
    var calibrationActivations = ActivationMode.exact
    @Option(help: "How pruned matrices are kept: \(StoredForm.names.joined(separator: ", ")).")
    var store = "source"
    @Option(help: "Columns that share a scale in int4: 32, 64 or 128.") var group = 32
    @Option(
        help: ArgumentHelp("Text to measure perplexity on, before and after.", valueName: "file"),
        completion: .file())
    var eval: String?
    @Option(help: "The most windows of it to score (default: all).") var evalWindows: Int?
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "Print each matrix with its rule and the memory it takes, and write nothing.") var dryRun = false

    func validate() throws {
        guard sparsity == nil || pattern == nil || pattern == .unstructured else {
            throw ValidationError("--pattern N:M says the sparsity: leave --sparsity out")
        }
        guard samples > 0, length > 0 else { throw ValidationError("--samples and --length are at least 1") }
        if let evalWindows, evalWindows < 1 { throw ValidationError("--eval-windows is at least 1") }
        guard StoredForm(store, group: group) != nil else {
            throw ValidationError("--store is one of \(StoredForm.names.joined(separator: ", ")), not \(store)")
        }
        guard [32, 64, 128].contains(group) else { throw ValidationError("--group is 32, 64 or 128, not \(group)") }
        do { _ = try makeMethod() } catch let error as ConfigurationError { throw ValidationError("\(error)") }
    }

    func run() async throws {
        let start = ContinuousClock.now
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        if !dryRun { try AtomicOutput.check(destination, .folder, overwrite: overwrite) }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        var pruner = SequentialPruner(try makeMethod(), threads: running.threadCount)
        pruner.store = StoredForm(store, group: group)!
        pruner.activations = calibrationActivations
        pruner.seed = running.seed
        let windows = try calibrationWindows(loaded, pruner.method)
        let text = try eval.map { try TextSource(reading: $0) }

        let plan = memoryPlan(pruner, loaded, windows: windows?.windows.count ?? 0)
        if dryRun { return show(plan, of: pruner, loaded.model) }
        output.note("predicted peak memory \(Format.bytes(plan.total))")
        try plan.check(limit: running.memoryBytes)

        let progress = ProgressPrinter(output)
        let before = try text.map { try measure(loaded, $0, progress) }
        let report = try pruner.prune(loaded.model, windows: windows?.windows ?? []) {
            progress.update("pruning", $0, of: $1, "blocks")
        }
        let after = try text.map { try measure(loaded, $0, progress) }
        let recipe = recipe(pruner, windows, report, before, after, text)
        let written = try write(loaded, recipe)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        for path in written.removedStale { output.note("removed \(path), left by an interrupted run") }
        for note in report.notes { output.note("note: \(note)") }
        answer(loaded.checkpoint, report, written, before, after, seconds: seconds)
    }

    // MARK: Steps

    private func makeMethod() throws -> any LayerMethod {
        var settings = JSONObject()
        if let sparsity { settings["sparsity"] = .number(sparsity) }
        if let pattern { settings["pattern"] = pattern.json }
        if let scope { settings["scope"] = scope.json }
        return try MethodRegistry.standard.entry(method).make(settings)
    }

    private func calibrationWindows(_ loaded: LoadedModel, _ method: any LayerMethod) throws -> CalibrationWindows? {
        guard !method.statistics.isEmpty else { return nil }
        let context = loaded.model.configuration.contextLength
        guard length <= context else { throw PruningError.windowTooLong(tokens: length, context: context) }
        let text = try calibration.map { try TextSource(reading: $0) } ?? PruneCommand.embeddedText
        let windows = try CalibrationWindows(
            text, tokenizer: loaded.tokenizer, samples: samples, length: length, seed: running.seed)
        if windows.windows.count < samples {
            output.note(
                "\(text.name) has \(windows.tokens) tokens: \(windows.windows.count) windows of \(length), "
                    + "not \(samples)")
        }
        return windows
    }

    private static var embeddedText: TextSource {
        let text = winnow_calibration_text()!.pointee
        let bytes = UnsafeBufferPointer(start: text.bytes, count: text.count)
        return TextSource(name: String(cString: text.name), bytes: Array(bytes))
    }

    /// What is held in that of the steps, which come in turn, that holds most: the walk, or what follows it.
    private func memoryPlan(_ pruner: SequentialPruner, _ loaded: LoadedModel, windows: Int) -> MemoryPlan {
        let model = loaded.model
        let walk = pruner.memoryPlan(for: model, windows: windows, length: length, readsAll: eval != nil)
        var later = pruner.memoryPlan(for: model, windows: 0, length: 0)
        let writing = CheckpointWriter.checkingBytes(model.configuration)
        let evaluation = eval == nil ? 0 : ModelRunner.workspaceBytes(model, evaluationConfiguration)
        later.add(
            writing > evaluation ? "writing and checking the folder" : "evaluation",
            bytes: max(writing, evaluation))
        var plan = walk.total > later.total ? walk : later
        plan.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        return plan
    }

    private var evaluationConfiguration: ModelRunner.Configuration {
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 64
        return configuration
    }

    /// Perplexity and decode speed of the model as it is now.
    private func measure(
        _ loaded: LoadedModel, _ text: TextSource, _ progress: ProgressPrinter
    ) throws -> (perplexity: Perplexity.Result, decodeTokensPerSecond: Double) {
        let runner = try ModelRunner(loaded.model, evaluationConfiguration)
        var perplexity = Perplexity()
        perplexity.maxWindows = evalWindows
        let result = try perplexity.evaluate(text.joined, tokenizer: loaded.tokenizer, on: runner) {
            progress.update("scoring", $0, of: $1, "windows")
        }
        var benchmark = SpeedBenchmark()
        benchmark.promptTokens = 0
        benchmark.generateTokens = 64
        benchmark.repeats = 3
        benchmark.seed = running.seed
        return (result, try benchmark.run(runner).decodeTokensPerSecond)
    }

    private func write(_ loaded: LoadedModel, _ recipe: JSONObject) throws -> CheckpointWriter.Written {
        var pruned: [String: WeightMatrix] = [:]
        for layer in PrunableLayers(loaded.model).layers { pruned[layer.name] = layer.parameter.matrix }
        return try CheckpointWriter(destination, overwrite: overwrite).write(loaded.checkpoint, recipe: recipe) {
            if let matrix = pruned[$0] { return .matrix(matrix) }
            return try loaded.checkpoint.tensor($0)
        }
    }

    // MARK: What is said

    private func recipe(
        _ pruner: SequentialPruner, _ windows: CalibrationWindows?, _ report: PruningReport,
        _ before: (perplexity: Perplexity.Result, decodeTokensPerSecond: Double)?,
        _ after: (perplexity: Perplexity.Result, decodeTokensPerSecond: Double)?, _ text: TextSource?
    ) -> JSONObject {
        var recipe = JSONObject([
            ("winnow", .string(WinnowVersion.current)), ("method", .string(method)),
            ("settings", .object(pruner.method.settings)), ("store", .string("\(pruner.store)")),
            ("seed", .integer(Int64(bitPattern: running.seed))),
        ])
        if let windows {
            recipe["calibration"] = [
                "source": .string(windows.source), "sha256": .string(windows.sha256),
                "windows": .integer(Int64(windows.windows.count)), "length": .integer(Int64(windows.length)),
                "activations": .string(pruner.activations.rawValue),
            ]
        }
        recipe["result"] = .object(report.json)
        if let text, let before, let after {
            recipe["evaluation"] = [
                "source": .string(text.name),
                "before": .object(before.perplexity.json(textSha256: text.sha256)),
                "after": .object(after.perplexity.json(textSha256: text.sha256)),
            ]
        }
        return recipe
    }

    private func answer(
        _ source: Checkpoint, _ report: PruningReport, _ written: CheckpointWriter.Written,
        _ before: (perplexity: Perplexity.Result, decodeTokensPerSecond: Double)?,
        _ after: (perplexity: Perplexity.Result, decodeTokensPerSecond: Double)?, seconds: Double
    ) {
        let format = report.formats.joined(separator: ", ")
        let peak = Machine.peakMemoryBytes
        guard !output.json else {
            var json = JSONObject([
                ("path", .string(written.path)), ("format", .string(format)),
                ("sparsity", .number(report.sparsity)), ("zeros", .integer(Int64(report.zeros))),
                ("prunable", .integer(Int64(report.prunable))), ("bytes", .integer(Int64(written.bytes))),
                ("bytesBefore", .integer(Int64(source.fileBytes))),
                ("bitsPerWeight", .number(report.bitsPerWeight)), ("seconds", .number(seconds)),
                ("peakBytes", .integer(Int64(peak))),
            ])
            if let before, let after {
                json["perplexityBefore"] = .number(before.perplexity.perplexity)
                json["perplexityAfter"] = .number(after.perplexity.perplexity)
                json["decodeTokensPerSecond"] = .number(after.decodeTokensPerSecond)
            }
            return StandardOutput.write(.object(json))
        }
        StandardOutput.write(
            """
            \(written.path): \(Format.bytes(written.bytes)), was \(Format.bytes(source.fileBytes))
            \(format): \(Format.percent(report.sparsity, 2)) zeros (\(Format.count(report.zeros)) of \
            \(Format.count(report.prunable)) prunable weights), \(Format.fixed(report.bitsPerWeight, 2)) bits each
            \(Format.duration(seconds)), peak memory \(Format.bytes(peak))

            """)
        if let before, let after {
            let (old, new) = (before.perplexity, after.perplexity)
            StandardOutput.write(
                """
                perplexity \(Format.fixed(old.perplexity, 3)) -> \(Format.fixed(new.perplexity, 3)) \
                (\(Format.change(from: old.perplexity, to: new.perplexity))), \(old.windows) windows of \
                \(old.window), activations \(old.activations.rawValue)
                decode \(Format.rate(before.decodeTokensPerSecond)) -> \(Format.rate(after.decodeTokensPerSecond))

                """)
        }
    }

    private func show(_ plan: MemoryPlan, of pruner: SequentialPruner, _ model: LanguageModel) {
        let layers = PrunableLayers(model).layers
        let rule = "\(method), \(pruner.method.goal.summary)"
        if output.json {
            return StandardOutput.write([
                "path": .string(destination), "predictedPeakBytes": .integer(Int64(plan.total)),
                "memory": plan.json,
                "plan": .array(
                    layers.map {
                        let matrix = $0.parameter.matrix
                        return [
                            "name": .string($0.name), "rule": .string(rule),
                            "from": .string(matrix.format.name),
                            "to": .string(pruner.store.format(of: matrix).name),
                        ]
                    }),
            ])
        }
        var table = Table([.init("layer"), .init("rule"), .init("stored as")])
        for layer in layers {
            let matrix = layer.parameter.matrix
            table.add([layer.name, rule, "\(matrix.format.name) -> \(pruner.store.format(of: matrix).name)"])
        }
        StandardOutput.write(table.text + "\n" + plan.table.text)
    }
}

extension SparsityPattern: ExpressibleByArgument {}
extension SelectionScope: ExpressibleByArgument {}
