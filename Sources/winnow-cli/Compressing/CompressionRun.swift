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

/// One method over one model, from opening to the written folder: what `prune` and `quantize` do.
struct CompressionRun {
    /// What progress calls the work.
    let verb: String
    let methodName: String
    let model: ModelOptions
    let running: RunOptions
    let output: OutputOptions
    let calibration: CalibrationOptions
    let options: CompressionOptions
    var allocation = SparsityAllocation.uniform
    /// Said in the record, beside the method.
    var scheme: String?

    func run(_ method: any LayerMethod, _ store: StoredForm) async throws {
        let start = ContinuousClock.now
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        if !options.dryRun {
            try AtomicOutput.check(options.destination, .folder, overwrite: options.overwrite)
        }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        var pruner = SequentialPruner(method, threads: running.threadCount)
        pruner.store = store
        pruner.allocation = allocation
        pruner.activations = calibration.activations
        pruner.seed = running.seed
        let windows = try calibrationWindows(loaded, pruner)
        let text = try options.eval.map { try TextSource(reading: $0) }

        if windows != nil, pruner.activations == .bfloat16, ProductPrecision.bfloat16Kernels == .rounded {
            output.note("this CPU multiplies no bfloat16: calibrating in float32")
        }
        let plan = memoryPlan(pruner, loaded, windows: windows?.windows.count ?? 0)
        if options.dryRun { return show(plan, of: pruner, loaded.model) }
        output.note("predicted peak memory \(Format.bytes(plan.total))")
        try plan.check(limit: running.memoryBytes)

        let progress = ProgressPrinter(output)
        let before = try text.map { try measure(loaded, $0, progress) }
        let report = try pruner.prune(loaded.model, windows: windows?.windows ?? []) {
            progress.update(verb, $0, of: $1, "blocks")
        }
        let after = try text.map { try measure(loaded, $0, progress) }
        let recipe = recipe(pruner, windows, report, before, after, text)
        let written = try loaded.write(to: options.destination, overwrite: options.overwrite, record: recipe)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        for path in written.removedStale { output.note("removed \(path), left by an interrupted run") }
        for note in report.notes { output.note("note: \(note)") }
        answer(loaded.checkpoint, report, written, before, after, seconds: seconds)
    }

    // MARK: Steps

    private func calibrationWindows(_ loaded: LoadedModel, _ pruner: SequentialPruner) throws
        -> CalibrationWindows?
    {
        pruner.needsCalibration ? try windows(loaded) : nil
    }

    /// What calibration reads.
    func windows(_ loaded: LoadedModel) throws -> CalibrationWindows {
        let (samples, length) = (calibration.samples, calibration.length)
        let context = loaded.model.configuration.contextLength
        guard length <= context else { throw PruningError.windowTooLong(tokens: length, context: context) }
        let text = try calibration.text.map { try TextSource(reading: $0) } ?? CompressionRun.embeddedText
        let windows = try CalibrationWindows(
            text, tokenizer: loaded.tokenizer, samples: samples, length: length, seed: running.seed)
        if windows.windows.count < samples {
            output.note(
                "\(text.name) has \(windows.tokens) tokens: \(windows.windows.count) windows of \(length), "
                    + "not \(samples)")
        }
        return windows
    }

    /// The calibration text inside winnow.
    static var embeddedText: TextSource {
        let text = winnow_calibration_text()!.pointee
        let bytes = UnsafeBufferPointer(start: text.bytes, count: text.count)
        return TextSource(name: String(cString: text.name), bytes: Array(bytes))
    }

    /// What is held in that of the steps, which come in turn, that holds most: the walk, or what follows it.
    private func memoryPlan(_ pruner: SequentialPruner, _ loaded: LoadedModel, windows: Int) -> MemoryPlan {
        let model = loaded.model
        let walk = pruner.memoryPlan(
            for: model, windows: windows, length: calibration.length, readsAll: options.eval != nil)
        var later = pruner.memoryPlan(for: model, windows: 0, length: 0)
        let writing = CheckpointWriter.checkingBytes(model.configuration)
        let evaluation = options.eval == nil ? 0 : ModelRunner.workspaceBytes(model, evaluationConfiguration)
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

    typealias Measured = (perplexity: Perplexity.Result, decodeTokensPerSecond: Double)

    /// Perplexity and decode speed of the model as it is now.
    func measure(
        _ loaded: LoadedModel, _ text: TextSource, _ progress: ProgressPrinter
    ) throws -> Measured {
        let runner = try ModelRunner(loaded.model, evaluationConfiguration)
        var perplexity = Perplexity()
        perplexity.maxWindows = options.evalWindows
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

    // MARK: What is said

    private func recipe(
        _ pruner: SequentialPruner, _ windows: CalibrationWindows?, _ report: PruningReport,
        _ before: Measured?,
        _ after: Measured?, _ text: TextSource?
    ) -> JSONObject {
        var recipe = JSONObject([
            ("winnow", .string(WinnowVersion.current)), ("method", .string(methodName)),
            ("settings", .object(pruner.method.settings)), ("store", .string("\(pruner.store)")),
            ("seed", .integer(Int64(bitPattern: running.seed))),
        ])
        if let scheme { recipe["scheme"] = .string(scheme) }
        if allocation != .uniform { recipe["allocation"] = allocation.json }
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
        _ before: Measured?,
        _ after: Measured?, seconds: Double
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
        if let before, let after { show(before, after) }
    }

    func show(_ before: Measured, _ after: Measured) {
        let (old, new) = (before.perplexity, after.perplexity)
        StandardOutput.write(
            """
            perplexity \(Format.fixed(old.perplexity, 3)) -> \(Format.fixed(new.perplexity, 3)) \
            (\(Format.change(from: old.perplexity, to: new.perplexity))), \(old.windows) windows of \
            \(old.window), activations \(old.activations.rawValue)
            decode \(Format.rate(before.decodeTokensPerSecond)) -> \(Format.rate(after.decodeTokensPerSecond))

            """)
    }

    private func show(_ plan: MemoryPlan, of pruner: SequentialPruner, _ model: LanguageModel) {
        let layers = PrunableLayers(model).layers
        let rule = scheme.map { "\(methodName), \($0)" } ?? "\(methodName), \(pruner.method.goal.summary)"
        if output.json {
            return StandardOutput.write([
                "path": .string(options.destination), "predictedPeakBytes": .integer(Int64(plan.total)),
                "memory": plan.json,
                "plan": .array(
                    layers.map {
                        let matrix = $0.parameter.matrix
                        return [
                            "name": .string($0.name), "rule": .string(rule),
                            "from": .string(matrix.format.name),
                            "to": .string(format(pruner, matrix)),
                        ]
                    }),
            ])
        }
        var table = Table([.init("layer"), .init("rule"), .init("stored as")])
        for layer in layers {
            let matrix = layer.parameter.matrix
            table.add([layer.name, rule, "\(matrix.format.name) -> \(format(pruner, matrix))"])
        }
        StandardOutput.write(table.text + "\n" + plan.table.text)
    }

    /// What a matrix becomes: under a mask where something is pruned.
    private func format(_ pruner: SequentialPruner, _ matrix: WeightMatrix) -> String {
        let format = pruner.store.format(of: matrix)
        return pruner.method.goal.sparsity > 0 || matrix.mask != nil ? format.name : format.dense.name
    }
}
