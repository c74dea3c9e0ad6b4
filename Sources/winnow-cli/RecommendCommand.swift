import ArgumentParser
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowReport

struct RecommendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recommend",
        abstract: "Look for the recipe that makes the best model under a target, on this machine.",
        discussion: """
            Tries a dozen recipes of pruning and quantization, which --dry-run lists. What is too large by its predicted \
            size is left out; the others are run on a little text and measured. The best is then made from the file \
            with all samples, written to --output, opened again and measured: those are the figures that are given. \
            With --max-perplexity-increase the smallest model is best, else the one of lowest perplexity. Several \
            targets hold together. When no recipe meets them, the nearest is named and the status is 1.

            Examples:
              winnow recommend --model smollm2-135m-q4_1 --target-bytes 85MiB --output small
              winnow recommend --model model-folder --max-perplexity-increase 0.05 --output small
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: ArgumentHelp("The most bytes on disk, e.g. 80MiB.", valueName: "size"))
    var targetBytes: ByteCount?
    @Option(help: ArgumentHelp("The least speed of decoding.", valueName: "rate")) var targetTokensPerSecond:
        Double?
    @Option(
        help: ArgumentHelp("The most that perplexity may rise, as a share: 0.05 is 5 %.", valueName: "share"))
    var maxPerplexityIncrease: Double?
    @Option(
        help: ArgumentHelp("Text to calibrate on (default: the one inside winnow).", valueName: "file"),
        completion: .file())
    var calibration: String?
    @Option(
        help: ArgumentHelp("Text to score (default: the one inside winnow).", valueName: "file"),
        completion: .file())
    var eval: String?
    @Option(help: "Calibration windows of the run that verifies.") var samples = 128
    @Option(help: "The most windows to score in it.") var evalWindows = 16
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "List the recipes with the sizes they would give, and run none.") var dryRun = false

    func validate() throws {
        guard targetBytes != nil || targetTokensPerSecond != nil || maxPerplexityIncrease != nil else {
            throw ValidationError(
                "name a target: --target-bytes, --target-tokens-per-second or --max-perplexity-increase")
        }
        if let targetTokensPerSecond, !(targetTokensPerSecond > 0 && targetTokensPerSecond.isFinite) {
            throw ValidationError("--target-tokens-per-second is more than 0, not \(targetTokensPerSecond)")
        }
        if let maxPerplexityIncrease, !(maxPerplexityIncrease >= 0 && maxPerplexityIncrease.isFinite) {
            throw ValidationError("--max-perplexity-increase is 0 or more, not \(maxPerplexityIncrease)")
        }
        guard samples > 0, evalWindows > 0 else {
            throw ValidationError("--samples and --eval-windows are at least 1")
        }
    }

    func run() async throws {
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        if !dryRun { try AtomicOutput.check(destination, .folder, overwrite: overwrite) }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        var recommender = Recommender(
            loaded,
            target: RecommendationTarget(
                bytes: targetBytes?.bytes, tokensPerSecond: targetTokensPerSecond,
                perplexityIncrease: maxPerplexityIncrease),
            texts: (
                try calibration.map { try TextSource(reading: $0) } ?? CompressionRun.embeddedText,
                try eval.map { try TextSource(reading: $0) } ?? SweepCommand.embeddedScoringText
            ), threads: running.threadCount)
        recommender.activations = running.activations
        recommender.kvType = running.kvType
        recommender.seed = running.seed
        recommender.full = .init(samples: samples, windows: evalWindows)
        recommender.quick = .init(samples: min(16, samples), windows: min(4, evalWindows))
        recommender.version = WinnowVersion.current
        if dryRun { return show(try recommender.trials(), Recommendation?.none) }
        var plan = recommender.memoryPlan(windows: samples)
        plan.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        output.note("predicted peak memory \(Format.bytes(plan.total))")
        try plan.check(limit: running.memoryBytes)

        let progress = ProgressPrinter(output)
        recommender.progress = { name, step in
            progress.update("\(name): \(step.what)", step.done, of: step.total, step.unit)
        }
        let found = try recommender.recommend(into: destination, overwrite: overwrite)
        show(found.trials, found)
        if found.chosen == nil { throw ExitCode(1) }
    }

    // MARK: What is said

    private func show(_ trials: [Recommendation.Trial], _ found: Recommendation?) {
        guard !output.json else {
            var json = JSONObject([
                (
                    "candidates",
                    .array(
                        trials.map { trial in
                            .object(
                                JSONObject([
                                    ("name", .string(trial.name)),
                                    ("predictedBytes", .integer(Int64(trial.predictedBytes))),
                                    ("quick", trial.quick.map { .object($0.json) } ?? .null),
                                    ("verified", trial.verified.map { .object($0.json) } ?? .null),
                                ]))
                        })
                )
            ])
            if let found { add(found, to: &json) }
            return StandardOutput.write(.object(json))
        }
        var table = Table([
            .init("recipe"), .figures("on disk"), .figures("zeros"), .figures("perplexity"),
            .figures("tokens/s"), .init("measured"),
        ])
        for (index, trial) in trials.enumerated() {
            guard let figures = trial.verified ?? trial.quick else {
                table.add([trial.name, Format.bytes(trial.predictedBytes), "", "", "", "size predicted"])
                continue
            }
            table.add(
                [
                    trial.name, Format.bytes(figures.bytes), Format.percent(figures.sparsity, 1),
                    "\(Format.significant(figures.perplexity, 4)) ± \(Format.significant(figures.standardError, 2))",
                    Format.fixed(figures.tokensPerSecond, 1), trial.verified == nil ? "quickly" : "in full",
                ], highlighted: index == found?.chosen)
        }
        StandardOutput.write(table.text + "\n")
        if let found { StandardOutput.write(sentence(found) + "\n") }
    }

    private func add(_ found: Recommendation, to json: inout JSONObject) {
        let nearest = found.trials[found.nearest]
        json["met"] = .bool(found.chosen != nil)
        json["name"] = .string(nearest.name)
        json["recipe"] = nearest.recipe.map { .object($0.json) } ?? .null
        json["figures"] = (nearest.verified ?? nearest.quick).map { .object($0.json) } ?? .null
        json["given"] = .object(found.given.full.json)
        json["distance"] = .number(found.distance)
        json["path"] = (found.chosen ?? 0) > 0 ? .string(destination) : .null
        json["verdict"] = .string(sentence(found))
    }

    private func sentence(_ found: Recommendation) -> String {
        let nearest = found.trials[found.nearest]
        guard let chosen = found.chosen else {
            return "No recipe meets the target. The nearest is \(nearest.name), "
                + "\(Format.percent(found.distance, 1)) off"
                + (nearest.verified == nil ? " by its quick figures." : ".")
        }
        guard chosen > 0, let figures = nearest.verified else {
            return
                "The model as given meets the target, and no recipe that was tried is better: nothing was written."
        }
        return "\(nearest.name) meets the target: \(destination), \(Format.bytes(figures.bytes)), perplexity "
            + "\(Format.fixed(figures.perplexity, 2)) (as given \(Format.fixed(found.given.full.perplexity, 2))), "
            + "\(Format.rate(figures.tokensPerSecond)) (as given \(Format.rate(found.given.full.tokensPerSecond)))."
    }
}
