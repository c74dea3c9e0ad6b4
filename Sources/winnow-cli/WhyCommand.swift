import ArgumentParser
import WinnowGenerate
import WinnowModels
import WinnowReport

struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "What bounds a model's speed: memory, arithmetic, or neither, part by part.",
        discussion: """
            Times every stage of decode steps and of one prefill step, counts the bytes that it moves and the \
            operations that it does, and sets both against the roofs of this machine, sampled in between. A part that \
            reaches half of neither roof is held up by something else: starting, waiting, unpacking, a cache.

            Examples:
              winnow why smollm2-135m-q4_1
              winnow why model.gguf --layers --page why.html
            """)

    @Argument(
        help: ArgumentHelp(
            "A folder in Hugging Face layout, a .gguf file, or a name from 'winnow list'.", valueName: "model"
        ),
        completion: .file())
    var model: String
    @OptionGroup var cache: CacheOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions
    @Option(help: "Tokens of the prefill step.") var promptTokens = 512
    @Option(help: "Tokens of a decode run, from an empty context.") var generateTokens = 32
    @Option(help: "Counted repetitions.") var repeats = 3
    @Flag(help: "Show each block.") var layers = false

    func validate() throws {
        guard (1...8192).contains(promptTokens), (1...8192).contains(generateTokens), repeats > 0 else {
            throw ValidationError(
                "--prompt-tokens and --generate-tokens are between 1 and 8192, --repeats at least 1")
        }
    }

    func run() async throws {
        try page.check()
        let opened = try LoadedModel(opening: try await resolveModel(model, cache, output)).model
        try opened.requireHead()
        var profile = StepProfile()
        profile.promptTokens = promptTokens
        profile.generateTokens = generateTokens
        profile.repeats = repeats
        profile.seed = running.seed
        let runner = try ModelRunner(opened, running.runnerConfiguration(chunk: promptTokens))
        var plan = runner.memoryPlan(tokens: max(promptTokens, generateTokens))
        plan.add("the buffer of the memory roof", bytes: opened.bytesPerToken)
        try running.admit(plan, output)
        let progress = ProgressPrinter(output)
        let result = try profile.run(runner) { progress.update("measuring", $0, of: $1, "runs") }
        let report = WhyReport(
            model: model, result: result, profile: profile, running: running, showsLayers: layers)
        try page.write(report.page, output)
        if output.json { return StandardOutput.write(report.json) }
        StandardOutput.write(report.text)
    }
}
