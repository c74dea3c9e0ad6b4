import ArgumentParser
import WinnowCore
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowWeights

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Prefill and decode speed, and the share of memory bandwidth that decoding reaches.",
        discussion: """
            Medians over the repetitions, after one that is not counted. The bandwidth is sampled beside each \
            decode run with the same threads over as many bytes as the weights. Of an encoder: milliseconds from \
            a text's ids to its last states, one text at a time.

            Examples:
              winnow bench --model smollm2-135m-q4_1 --threads 2
              winnow bench --synthetic llama-1b --format masked-int8 --sparsity 0.5 \\
                --against int8
              winnow bench --kernels --formats q4_0,int8 --shapes 4096x4096 --page roofs
              winnow bench --synthetic bert-base --tokens 128 --format masked-int8 --sparsity 0.9 --pattern 1x4
            """)

    @Option(
        help: ArgumentHelp(
            "A folder in Hugging Face layout, a .gguf file, or a name from 'winnow list'.", valueName: "model"
        ),
        completion: .file())
    var model: String?
    @OptionGroup var cache: CacheOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "Prompt tokens of a prefill run; 0 leaves it out.") var promptTokens = 512
    @Option(help: "Tokens of a decode run.") var generateTokens = 128
    @Option(help: "Tokens of a text, for an encoder.") var tokens = 128
    @Option(help: "Counted repetitions.") var repeats = 5
    @Option(help: "Random weights of a shape: \(SyntheticShape.all.map(\.name).joined(separator: ", ")).")
    var synthetic: String?
    @Option(help: "Format of the synthetic blocks.") var format = "int8"
    @Option(help: "Share of zeros in masked synthetic formats.") var sparsity = 0.5
    @Option(
        help: ArgumentHelp(
            "Pattern of the zeros in masked synthetic formats: unstructured, whole blocks (1x4) or N:M (2:4).",
            valueName: "pattern"))
    var pattern: String?
    @Option(help: "Format of the synthetic head and embedding.") var headFormat = "int8"
    @Option(help: "Another format, measured in turns with the first; prints the ratio.") var against: String?

    @Option(help: ArgumentHelp("Decode so many texts at once, in turns, e.g. 1,2,4,8.", valueName: "n1,n2…"))
    var batch: String?

    @Option(
        help: ArgumentHelp(
            "Write the synthetic model to this folder, with a tokenizer of bytes, and measure nothing.",
            visibility: .hidden))
    var save: String?
    @Flag(help: "Measure products of formats and shapes against this machine's roofs, without a model.")
    var kernels = false
    @OptionGroup(title: "With --kernels") var products: KernelBenchOptions

    /// The sizes of `--batch`.
    private func batches() throws -> [Int]? {
        try batch.map { text in
            let sizes = text.split(separator: ",").map { Int($0) ?? 0 }
            guard !sizes.isEmpty, sizes.allSatisfy((1...256).contains) else {
                throw ValidationError("--batch takes numbers between 1 and 256 with commas, not '\(text)'")
            }
            return sizes
        }
    }

    func validate() throws {
        if pattern != nil, synthetic == nil { throw ValidationError("--pattern is of --synthetic weights") }
        guard kernels else { return try products.requireKernels() }
        guard model == nil, synthetic == nil, against == nil, batch == nil else {
            throw ValidationError(
                "--kernels needs no model: leave --model, --synthetic, --against and --batch out")
        }
        _ = try products.benchmark(running, sparsity: sparsity)
    }

    func run() async throws {
        if kernels { return try products.run(running, sparsity: sparsity, output) }
        let batches = try batches()
        var benchmark = SpeedBenchmark()
        benchmark.promptTokens = promptTokens
        benchmark.generateTokens = generateTokens
        benchmark.repeats = repeats
        benchmark.seed = running.seed
        guard repeats > 0, generateTokens > 0, promptTokens >= 0 else {
            throw ValidationError(
                "--repeats and --generate-tokens are at least 1, --prompt-tokens at least 0")
        }
        guard tokens > 0 else { throw ValidationError("--tokens is at least 1") }
        var configuration = running.runnerConfiguration(chunk: min(max(promptTokens, 1), 512))
        if let largest = batches?.max() {
            configuration.logitRows = largest
            configuration.chunk = max(configuration.chunk, largest)
        }

        guard synthetic == nil || !weights.isAsked(running) else {
            throw ValidationError(
                "--weights, --cached-reads and --memory-limit work on --model: synthetic weights are in memory"
            )
        }
        let subject: LanguageModel
        var rival: LanguageModel?
        if let synthetic {
            guard let shape = SyntheticShape.all.first(where: { $0.name == synthetic }) else {
                throw ValidationError(
                    "no shape '\(synthetic)'; there are \(SyntheticShape.all.map(\.name).joined(separator: ", "))"
                )
            }
            if let save {
                return try makeSynthetic(shape, format, sharingMemory: true).writeSynthetic(to: save)
            }
            subject = try makeSynthetic(shape, format)
            rival = try against.map { try makeSynthetic(shape, $0) }
        } else {
            guard let model, save == nil else { throw ValidationError("give --model or --synthetic") }
            let checkpoint = try Checkpoint.open(try await resolveModel(model, cache, output))
            if weights.readsAlone(running) { checkpoint.expectFewReads() }
            subject = try LanguageModel(checkpoint)
        }
        let progress = ProgressPrinter(output)
        if !subject.configuration.traits.isCausal {
            return try EncoderBench(
                subject: subject, rival: rival, tokens: tokens, benchmark: benchmark, running: running
            )
            .run(names: (synthetic == nil ? model ?? "" : format, against ?? ""), output, progress)
        }
        try subject.requireHead()
        let runner = try ModelRunner(subject, configuration)
        let plan = try placeWeights(of: runner, texts: batches?.max() ?? 1)
        // A buffer as large as the model is more than a limit allows.
        if plan != nil { benchmark.samplesBandwidth = false }
        if let rival {
            try compare(runner, try ModelRunner(rival, configuration), benchmark, progress)
            return
        }
        if let batches {
            let results = try benchmark.run(runner, batches: batches) {
                progress.update("measuring", $0, of: repeats, "runs")
            }
            show(results, plan)
            return showReads(
                runner, stepsPerSecond: results.last.map { $0.tokensPerSecond / Double($0.batch) })
        }
        let result = try benchmark.run(runner) { progress.update("measuring", $0, of: repeats, "runs") }
        let peak = Int64(Machine.peakMemoryBytes)
        if output.json {
            var object = JSONObject([
                ("prefillTokensPerSecond", .number(result.prefillTokensPerSecond)),
                ("decodeTokensPerSecond", .number(result.decodeTokensPerSecond)),
                ("bytesPerToken", .integer(Int64(result.bytesPerToken))),
                ("bandwidthShare", result.bandwidthShare.map { .number($0) } ?? .null),
                (
                    "timeToFirstToken",
                    promptTokens > 0
                        ? .number(Double(promptTokens) / result.prefillTokensPerSecond) : .null
                ),
                ("peakBytes", .integer(peak)), ("threads", .integer(Int64(running.threadCount))),
                ("isa", .string(InstructionSet.current.rawValue)),
                ("activations", .string(running.activations.rawValue)),
            ])
            if let plan { object["weights"] = .object(plan.json) }
            StandardOutput.write(.object(object))
            return
        }
        var table = Table([.init("run"), .figures("speed"), .init("samples")])
        if promptTokens > 0 {
            table.add([
                "prefill \(promptTokens)", Format.rate(result.prefillTokensPerSecond),
                result.prefillSamples.map { Format.rate($0) }.joined(separator: " "),
            ])
        }
        table.add([
            "decode \(generateTokens)", Format.rate(result.decodeTokensPerSecond),
            result.decodeSamples.map { Format.rate($0) }.joined(separator: " "),
        ])
        StandardOutput.write(table.text)
        let roof = result.bandwidthShare.map {
            ", \(Format.percent($0)) of the \(Format.fixed((result.bandwidth ?? 0) / 1e9, 1)) GB/s sampled"
        }
        StandardOutput.write(
            "\(Format.bytes(result.bytesPerToken)) a token\(roof ?? ""); \(running.threadCount) threads, \(InstructionSet.current.rawValue), "
                + "activations \(running.activations.rawValue), peak memory \(Format.bytes(Int(peak)))\n")
        showReads(runner, stepsPerSecond: result.decodeTokensPerSecond)
    }

    private func show(_ results: [SpeedBenchmark.BatchResult], _ plan: WeightPlan?) {
        if output.json {
            let rows = results.map { row -> JSONValue in
                ["batch": .integer(Int64(row.batch)), "tokensPerSecond": .number(row.tokensPerSecond)]
            }
            var object = JSONObject([("batches", .array(rows))])
            if let plan { object["weights"] = .object(plan.json) }
            return StandardOutput.write(.object(object))
        }
        var table = Table([
            .figures("texts at once"), .figures("tokens/s in all"), .figures("a text"), .figures("gain"),
        ])
        for row in results {
            table.add([
                "\(row.batch)", Format.rate(row.tokensPerSecond),
                Format.rate(row.tokensPerSecond / Double(row.batch)),
                Format.fixed(row.tokensPerSecond / results[0].tokensPerSecond, 2),
            ])
        }
        StandardOutput.write(table.text)
    }

    private func makeSynthetic(
        _ shape: SyntheticShape, _ name: String, sharingMemory: Bool = false
    ) throws -> LanguageModel {
        guard let format = WeightFormats.named(name), let head = WeightFormats.named(headFormat) else {
            throw ValidationError(
                "no format '\(name)' or '\(headFormat)'; there are "
                    + WeightFormats.all.map(\.name).joined(separator: ", "))
        }
        var zeros = SparsityPattern.unstructured
        if let pattern {
            guard let known = SparsityPattern(pattern) else {
                throw ValidationError("'\(pattern)' is no pattern; expected unstructured, 1x4 or 2:4")
            }
            // A format without a mask has no zeros: the rival of --against, as a rule.
            if format.isMasked { zeros = known }
            guard format.isMasked || name != self.format else {
                throw ValidationError("--pattern needs a masked format; \(name) has no mask")
            }
        }
        return try LanguageModel.synthetic(
            shape, format: format, sparsity: sparsity, pattern: zeros, headFormat: head, seed: running.seed,
            sharingMemory: sharingMemory)
    }

    /// Both models in turns, so that a drifting machine meets both alike.
    private func compare(
        _ first: ModelRunner, _ second: ModelRunner, _ benchmark: SpeedBenchmark, _ progress: ProgressPrinter
    ) throws {
        var once = benchmark
        once.repeats = 1
        var ratios: [Double] = []
        var prefillRatios: [Double] = []
        var speeds: [[Double]] = [[], []]
        for _ in 0..<repeats {
            let a = try once.run(first)
            let b = try once.run(second)
            speeds[0].append(a.decodeTokensPerSecond)
            speeds[1].append(b.decodeTokensPerSecond)
            ratios.append(a.decodeTokensPerSecond / b.decodeTokensPerSecond)
            if promptTokens > 0 { prefillRatios.append(a.prefillTokensPerSecond / b.prefillTokensPerSecond) }
            progress.update("measuring", ratios.count, of: repeats, "pairs")
        }
        let ceiling = Double(second.model.bytesPerToken) / Double(first.model.bytesPerToken)
        let ratio = SpeedBenchmark.median(ratios)
        if output.json {
            StandardOutput.write([
                "decodeTokensPerSecond": .number(SpeedBenchmark.median(speeds[0])),
                "againstDecodeTokensPerSecond": .number(SpeedBenchmark.median(speeds[1])),
                "decodeRatio": .number(ratio), "byteCeiling": .number(ceiling),
                "prefillRatio": prefillRatios.isEmpty ? .null : .number(SpeedBenchmark.median(prefillRatios)),
                "bytesPerToken": .integer(Int64(first.model.bytesPerToken)),
            ])
            return
        }
        let first = Format.rate(SpeedBenchmark.median(speeds[0]))
        let second = Format.rate(SpeedBenchmark.median(speeds[1]))
        var line = "\(format): \(first); \(against ?? ""): \(second); decode ratio \(Format.fixed(ratio, 2))"
        line += " (median of \(repeats) pairs, \(Format.fixed(ratios.min() ?? 0, 2)) to "
        line += "\(Format.fixed(ratios.max() ?? 0, 2))), byte ceiling \(Format.fixed(ceiling, 2))"
        if !prefillRatios.isEmpty {
            line += "; prefill ratio \(Format.fixed(SpeedBenchmark.median(prefillRatios), 2))"
        }
        StandardOutput.write(line + "\n")
    }
}
