import ArgumentParser
import WinnowData
import WinnowEval
import WinnowJSON
import WinnowModels
import WinnowReport

struct EvalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measure a model's quality.",
        discussion: """
            Example:
              winnow eval perplexity --model smollm2-135m-q4_1 --text book.txt
            """,
        subcommands: [EvalPerplexityCommand.self, EvalTasksCommand.self, EvalNeuronsCommand.self])
}

struct EvalPerplexityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Perplexity of a text, over disjoint windows.",
        discussion: """
            exp of the mean negative log-likelihood of the scored tokens. The tokenizer's own BOS rule is applied \
            once to the whole text, the text is cut into windows, and a last partial window is dropped. With \
            --score half the second half of each window is scored (llama.cpp's convention), with --score all \
            every token but a window's first. Figures with other windows or scoring can't be compared.

            Examples:
              winnow eval perplexity --model smollm2-135m-q4_1 --text book.txt
              winnow eval perplexity --model pruned --text book.txt --max-windows 20 \\
                --activations exact --json
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp("A text file, or .jsonl with one {\"text\": …} a line.", valueName: "file"),
        completion: .file())
    var text: String
    @Option(help: "Tokens of a window.") var window = 512
    @Option(help: "The targets of a window that are scored.") var score = Perplexity.Score.half
    @Option(help: "The most windows to score (default: all).") var maxWindows: Int?

    func validate() throws {
        guard window >= 2 else { throw ValidationError("--window is at least 2, not \(window)") }
        if let maxWindows, maxWindows < 1 {
            throw ValidationError("--max-windows is at least 1, not \(maxWindows)")
        }
    }

    func run() async throws {
        var perplexity = Perplexity()
        perplexity.window = window
        perplexity.score = score
        perplexity.maxWindows = maxWindows
        let source = try TextSource(reading: text)
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        var configuration = running.runnerConfiguration(chunk: min(max(window, 512), 2048))
        configuration.logitRows = 64
        let runner = try ModelRunner(loaded.model, configuration)
        try running.admit(
            runner.memoryPlan(tokens: window, sequences: max(1, configuration.chunk / window)), output)
        let progress = ProgressPrinter(output)
        let result = try perplexity.evaluate(
            source.joined, tokenizer: loaded.tokenizer, on: runner
        ) { progress.update("scoring", $0, of: $1, "windows") }
        if output.json {
            StandardOutput.write(.object(result.json(textSha256: source.sha256)))
            return
        }
        StandardOutput.write(
            """
            perplexity \(Format.fixed(result.perplexity, 4)) ± \(Format.fixed(result.standardError, 4))
            \(source.name): \(Format.count(result.tokens)) tokens, \(Format.count(result.scoredTokens)) scored in \
            \(result.windows) windows of \(result.window) (--score \(result.score.rawValue), \
            \(result.bos ? "each begins with BOS" : "no BOS")), activations \(result.activations.rawValue), \
            \(Format.rate(result.tokensPerSecond))

            """)
    }
}

extension Perplexity.Score: ExpressibleByArgument {}
