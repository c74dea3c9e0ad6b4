import WinnowCompress
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport

/// Dropping neurons, heads or layers, from opening to the written folder.
struct StructureRun {
    let pruner: StructuredPruner
    let run: CompressionRun

    func run() async throws {
        let start = ContinuousClock.now
        let (output, options) = (run.output, run.options)
        run.running.selectInstructionSet()
        try AtomicOutput.check(options.destination, .folder, overwrite: options.overwrite)
        let loaded = try LoadedModel(opening: try await run.model.resolve(output))
        let windows = try run.windows(loaded)
        let text = try options.eval.map { try TextSource(reading: $0) }
        var plan = pruner.memoryPlan(
            for: loaded.model, windows: windows.windows.count, length: windows.length)
        plan.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        output.note("predicted peak memory \(Format.bytes(plan.total))")
        try plan.check(limit: run.running.memoryBytes)

        let progress = ProgressPrinter(output)
        let before = try text.map { try run.measure(loaded, $0, progress) }
        let (result, report) = try pruner.prune(loaded, windows: windows.windows) {
            progress.update("scoring", $0, of: $1, "blocks")
        }
        let after = try text.map { try run.measure(result, $0, progress) }
        var record = JSONObject([
            ("winnow", .string(WinnowVersion.current)), ("method", "structure"),
            ("result", .object(report.json)), ("reconstructs", .bool(pruner.reconstructs)),
            ("seed", .integer(Int64(bitPattern: run.running.seed))),
            (
                "calibration",
                [
                    "source": .string(windows.source), "sha256": .string(windows.sha256),
                    "windows": .integer(Int64(windows.windows.count)),
                    "length": .integer(Int64(windows.length)),
                ]
            ),
        ])
        if let text, let before, let after {
            record["evaluation"] = [
                "source": .string(text.name),
                "before": .object(before.perplexity.json(textSha256: text.sha256)),
                "after": .object(after.perplexity.json(textSha256: text.sha256)),
            ]
        }
        let written = try result.write(to: options.destination, overwrite: options.overwrite, record: record)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        answer(loaded, report, written, before, after, seconds)
    }

    private func answer(
        _ loaded: LoadedModel, _ report: StructureReport, _ written: CheckpointWriter.Written,
        _ before: CompressionRun.Measured?, _ after: CompressionRun.Measured?, _ seconds: Double
    ) {
        if run.output.json {
            var json = JSONObject([
                ("path", .string(written.path)), ("bytes", .integer(Int64(written.bytes))),
                ("bytesBefore", .integer(Int64(loaded.checkpoint.fileBytes))),
                ("structure", .string(report.structure.rawValue)),
                ("kept", .array(report.kept.map { .integer(Int64($0)) })),
                ("weights", .integer(Int64(report.weights))),
                ("weightsBefore", .integer(Int64(report.weightsBefore))),
                ("seconds", .number(seconds)), ("peakBytes", .integer(Int64(Machine.peakMemoryBytes))),
            ])
            if let before, let after {
                json["perplexityBefore"] = .number(before.perplexity.perplexity)
                json["perplexityAfter"] = .number(after.perplexity.perplexity)
                json["decodeTokensPerSecond"] = .number(after.decodeTokensPerSecond)
            }
            return StandardOutput.write(.object(json))
        }
        let left: String =
            switch report.structure {
            case .layers:
                "layers \(report.kept.map(String.init).joined(separator: " ")) of \(report.scores.count)"
            default:
                "\(report.kept.min() ?? 0) \(report.structure.rawValue) in each of \(report.kept.count) blocks"
            }
        StandardOutput.write(
            """
            \(written.path): \(Format.bytes(written.bytes)), was \(Format.bytes(loaded.checkpoint.fileBytes))
            kept \(left): \(Format.count(report.weights)) of \(Format.count(report.weightsBefore)) weights
            \(Format.duration(seconds)), peak memory \(Format.bytes(Machine.peakMemoryBytes))

            """)
        if let before, let after { run.show(before, after) }
    }
}
