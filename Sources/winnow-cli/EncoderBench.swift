import ArgumentParser
import WinnowCore
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport

/// What `winnow bench` does with an encoder: the time of a text, beside that of another format where one is given.
struct EncoderBench {
    let subject: LanguageModel
    let rival: LanguageModel?
    /// Of a text.
    let tokens: Int
    let benchmark: SpeedBenchmark
    let running: RunOptions

    /// - Parameter names: of the subject and its rival.
    func run(names: (String, String), _ output: OutputOptions, _ progress: ProgressPrinter) throws {
        let limit = subject.configuration.tokenLimit
        guard tokens <= limit else {
            throw ValidationError("--tokens is at most \(limit), what the model takes, not \(tokens)")
        }
        let configuration = running.runnerConfiguration(chunk: tokens)
        let first = try ModelRunner(subject, configuration)
        let runners =
            try [first] + (rival.map { [try ModelRunner($0, configuration, sharing: first.pool)] } ?? [])
        let results = try benchmark.run(runners, texts: tokens) {
            progress.update("measuring", $0, of: benchmark.repeats, "runs")
        }
        if output.json { return StandardOutput.write(json(results)) }
        show(results, names)
    }

    private func ratios(_ results: [SpeedBenchmark.TextResult]) -> [Double] {
        guard results.count == 2 else { return [] }
        return zip(results[1].samples, results[0].samples).map { $0 / $1 }
    }

    private func json(_ results: [SpeedBenchmark.TextResult]) -> JSONValue {
        var json = JSONObject([
            ("millisecondsPerText", .number(results[0].millisecondsPerText)),
            ("samples", .array(results[0].samples.map { .number($0) })),
            ("tokens", .integer(Int64(tokens))),
            ("weightBytes", .integer(Int64(subject.byteCount))),
            ("peakBytes", .integer(Int64(Machine.peakMemoryBytes))),
            ("threads", .integer(Int64(running.threadCount))),
            ("isa", .string(InstructionSet.current.rawValue)),
            ("activations", .string(running.activations.rawValue)),
        ])
        if results.count == 2 {
            json["againstMillisecondsPerText"] = .number(results[1].millisecondsPerText)
            json["ratio"] = .number(SpeedBenchmark.median(ratios(results)))
        }
        return .object(json)
    }

    private func show(_ results: [SpeedBenchmark.TextResult], _ names: (String, String)) {
        var table = Table([.init("weights"), .figures("ms a text"), .figures("tokens/s"), .init("samples")])
        for (name, result) in zip([names.0, names.1], results) {
            table.add([
                name, Format.fixed(result.millisecondsPerText, 2),
                Format.rate(Double(tokens) * 1000 / result.millisecondsPerText),
                result.samples.map { Format.fixed($0, 2) }.joined(separator: " "),
            ])
        }
        StandardOutput.write(table.text)
        var line =
            "texts of \(tokens) tokens, one at a time; \(Format.bytes(subject.byteCount)) of weights; "
            + "\(running.threadCount) threads, \(InstructionSet.current.rawValue), "
            + "activations \(running.activations.rawValue), peak memory "
            + Format.bytes(Int(Machine.peakMemoryBytes))
        if results.count == 2 {
            let ratios = ratios(results)
            line +=
                "; \(names.0) is \(Format.fixed(SpeedBenchmark.median(ratios), 2)) times as fast "
                + "(\(benchmark.repeats) pairs, \(Format.fixed(ratios.min() ?? 0, 2)) to "
                + "\(Format.fixed(ratios.max() ?? 0, 2)))"
        }
        StandardOutput.write(line + "\n")
    }
}
