import ArgumentParser
import CWinnowTexts
import WinnowData
import WinnowEval
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Two models side by side: their weights, their hidden states, and what they say.",
        discussion: """
            B is measured against A on the same text: the divergence KL(A || B) at each position, how often both find \
            the same token most likely, perplexities, the distance of hidden states after each block, and for each \
            matrix zeros, format, bytes and distance. With --output a page is written.

            Examples:
              winnow compare smollm2-135m-q4_1 pruned --text book.txt
              winnow compare model.gguf model-q3_k_m.gguf --text book.txt --output difference
            """)

    @Argument(help: "The model to compare with.", completion: .file()) var a: String
    @Argument(help: "The model that is compared.", completion: .file()) var b: String
    @OptionGroup var cache: CacheOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp(
            "A text file, or .jsonl with one {\"text\": …} a line (default: the one inside winnow).",
            valueName: "file"),
        completion: .file())
    var text: String?
    @Option(help: "Tokens of a window.") var window = 512
    @Option(help: "The most windows of the text.") var maxWindows = 16
    @Option(
        name: .customLong("output"), help: "A folder for report.html and compare.json.",
        completion: .directory)
    var destination: String?
    @Flag(help: "Replace an existing output.") var overwrite = false

    func validate() throws {
        guard window >= 2 else { throw ValidationError("--window is at least 2, not \(window)") }
        guard maxWindows >= 1 else { throw ValidationError("--max-windows is at least 1, not \(maxWindows)") }
    }

    func run() async throws {
        if let destination {
            try AtomicOutput.check(destination, .folder, overwrite: overwrite, mark: "compare.json")
        }
        let source = try text.map { try TextSource(reading: $0) } ?? CompareCommand.embeddedText
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 64
        let first = try LoadedModel(opening: try await resolveModel(a, cache, output))
        let second = try LoadedModel(opening: try await resolveModel(b, cache, output))
        let runners = try (
            ModelRunner(first.model, configuration), ModelRunner(second.model, configuration)
        )
        var comparison = OutputComparison()
        comparison.window = window
        comparison.maxWindows = maxWindows
        let progress = ProgressPrinter(output)
        let outputs = try comparison.run(
            source.joined, (runners.0, first.tokenizer), (runners.1, second.tokenizer)
        ) { progress.update("comparing", $0, of: $1, "windows") }
        let weights = WeightComparison.all(first.model, second.model, on: runners.0.pool)
        let report = CompareReport(
            names: (a, b), bytes: (first.checkpoint.fileBytes, second.checkpoint.fileBytes), outputs: outputs,
            weights: weights, source: source, activations: running.activations.rawValue)
        if let destination { try write(report.page, to: destination) }
        if output.json { return StandardOutput.write(report.json) }
        StandardOutput.write(report.text)
        if let destination { output.note("The page: \(destination)/report.html") }
    }

    /// The text that the demo scores.
    private static var embeddedText: TextSource {
        let text = winnow_scoring_text()!.pointee
        let bytes = UnsafeBufferPointer(start: text.bytes, count: text.count)
        return TextSource(name: String(cString: text.name), bytes: Array(bytes))
    }

    private func write(_ page: Page, to path: String) throws {
        let folder = try AtomicOutput(path, .folder, overwrite: overwrite, mark: "compare.json")
        try OutputFile.write(page.html, to: folder.partialPath + "/report.html")
        try OutputFile.write(page.json, to: folder.partialPath + "/compare.json")
        try folder.commit()
    }
}
