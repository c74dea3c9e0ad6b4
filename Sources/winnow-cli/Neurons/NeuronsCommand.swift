import ArgumentParser
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport

struct NeuronsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neurons",
        abstract: "Count the feed-forward neurons that texts use, and make a profile for --core-profile.",
        discussion: """
            The text is cut into windows, each of which counts as a text of its own. The profile holds the order of \
            each block's neurons by how many tokens they are core for, over all texts and for each cluster of texts \
            that use similar neurons in one deep block.

            Example:
              winnow neurons --model smollm2-135m-q4_1 --text book.txt --output book.neurons
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp(
            "A text file, or .jsonl with one {\"text\": …} a line (default: the one inside winnow).",
            valueName: "file"),
        completion: .file())
    var text: String?
    @Option(help: "Windows of the text, fewer where it is shorter.") var samples = 256
    @Option(help: "Tokens of a window.") var length = 64
    @Option(help: "The share of a token's active neurons that count as used.") var alpha = 0.4
    @Option(help: "A neuron is active above zero, or by its size.") var by = NeuronPredicate.Ranking.sign
    @Option(
        name: .customLong("output"), help: ArgumentHelp("The profile to write.", valueName: "file"),
        completion: .file())
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false

    func validate() throws {
        guard samples > 0, length > 1 else {
            throw ValidationError("--samples is at least 1, --length at least 2")
        }
        guard alpha > 0, alpha <= 1 else {
            throw ValidationError("--alpha must be more than 0 and at most 1, not \(alpha)")
        }
    }

    func run() async throws {
        try AtomicOutput.check(destination, .file, overwrite: overwrite)
        let source = try text.map { try TextSource(reading: $0) } ?? CompressionRun.embeddedText
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        _ = try NeuronScope(loaded.model)
        let windows = try CalibrationWindows(
            source, tokenizer: loaded.tokenizer, samples: samples, length: length, seed: running.seed)
        let runner = try ModelRunner(loaded.model, running.runnerConfiguration(chunk: min(length, 512)))
        try running.admit(runner.memoryPlan(tokens: length), output)
        let progress = ProgressPrinter(output)
        let clock = ContinuousClock()
        let start = clock.now
        let profile = try NeuronProfile(
            counting: windows.windows,
            with: NeuronPredicate(ranking: by, alpha: alpha, beta: NeuronProfile.signatureShare), on: runner,
            textSha256: source.sha256
        ) { progress.update("counting", $0, of: $1, "texts") }
        try profile.write(to: destination, overwrite: overwrite)
        let seconds = (clock.now - start) / .seconds(1)
        let used = zip(profile.rankings, profile.widths).map { Double($0.count) / Double($1) }
        if output.json {
            return StandardOutput.write([
                "path": .string(destination), "tokens": .integer(Int64(profile.tokens)),
                "texts": .integer(Int64(windows.windows.count)),
                "clusters": .array(profile.clusters.map { .integer(Int64($0.texts)) }),
                "clusterLayer": .integer(Int64(profile.clusterLayer)),
                "used": .array(used.map { .number($0) }), "textSha256": .string(source.sha256),
                "activations": .string(running.activations.rawValue), "seconds": .number(seconds),
            ])
        }
        let sizes = profile.clusters.map { "\($0.texts)" }.joined(separator: ", ")
        StandardOutput.write(
            """
            \(destination): \(Format.count(profile.tokens)) tokens of \(windows.windows.count) texts, \
            \(profile.clusters.count) clusters of \(sizes) texts by the neurons of layer \
            \(profile.clusterLayer); layers used \(Format.percent(used.min() ?? 0)) to \
            \(Format.percent(used.max() ?? 0)) of their neurons

            """)
    }
}
