import ArgumentParser
import Glibc
import WinnowCore
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText

/// Options of `generate` and `chat`, under the names of the library's ``GenerationOptions``.
struct SamplingOptions: ParsableArguments {
    @Option(help: "Most tokens to generate.") var maxTokens = 256
    @Option(help: "Tokens of prompt and text together (default: the model's own length).") var context: Int?
    @Option(help: "0 takes the most likely token.") var temperature: Float = 0
    @Option(help: "Keep the most likely tokens up to this sum of probabilities.") var topP: Float = 1
    @Option(help: "Keep this many most likely tokens; 0 keeps all.") var topK = 0
    @Option(help: "Drop tokens less likely than this share of the best.") var minP: Float = 0
    @Option(help: "Penalty on tokens seen in the last 64; 1 does nothing.") var repeatPenalty: Float = 1
    @Option(help: "Text that ends the generation; may be repeated.") var stop: [String] = []

    func validate() throws {
        if let context, context < 1 { throw ValidationError("--context must be at least 1, not \(context)") }
        do { try generation(seed: 0).validate() } catch { throw ValidationError("--\(error)") }
    }

    func generation(seed: UInt64) -> GenerationOptions {
        var options = GenerationOptions()
        options.maxTokens = maxTokens
        options.temperature = temperature
        options.topP = topP
        options.topK = topK
        options.minP = minP
        options.repeatPenalty = repeatPenalty
        options.stop = stop
        options.seed = seed
        return options
    }
}

/// Options of `generate` and `chat` that make text come sooner without changing it.
struct DraftOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Guesses tokens that --model then verifies: a model with the same vocabulary (a pruned one, say), or "
                + "'prompt' to repeat what the text holds already.",
            valueName: "model"),
        completion: .file())
    var draft: String?
    @Option(help: "Most tokens guessed at once.") var draftTokens = 8

    func validate() throws {
        guard (1...64).contains(draftTokens) else {
            throw ValidationError("--draft-tokens must be between 1 and 64, not \(draftTokens)")
        }
    }

    func source(_ cache: CacheOptions, _ output: OutputOptions) async throws -> DraftSource? {
        guard let draft else { return nil }
        return draft == "prompt" ? .prompt : .model(path: try await resolveModel(draft, cache, output))
    }
}

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a prompt; the text streams to standard output.",
        discussion: """
            Instruct models get the prompt through their chat template, unless --raw is given. Ctrl-C stops \
            between two tokens; the text so far stays.

            With --draft a cheaper model guesses several tokens, and --model reads them in one step and keeps \
            those that it would have written: the same text at temperature 0, the same distribution above it.

            With --core-neurons the prompt is read with the whole model and the text written with the share of \
            feed-forward neurons that the prompt uses most: faster, and worse ('winnow eval neurons' says how much).

            Examples:
              winnow generate --model smollm2-135m-q4_1 --prompt "What is sparsity?" \\
                --max-tokens 64
              winnow generate --model model.gguf --prompt-file story.txt --raw \\
                --temperature 0.8 --seed 7
              winnow generate --model model.gguf --draft pruned --prompt-file story.txt
              winnow generate --model model.gguf --core-neurons 0.4 --prompt-file story.txt
              winnow generate --model model.gguf --prompts-file prompts.jsonl > answers.jsonl
              winnow generate --model smollm2-135m-q4_1 --adapter tuned/adapter --prompt "Hello"
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var sampling: SamplingOptions
    @OptionGroup var drafting: DraftOptions
    @OptionGroup var neurons: CoreNeuronArguments
    @OptionGroup var weights: WeightOptions
    @OptionGroup var adapting: AdapterOptions
    @Option(help: "The prompt; - reads standard input.") var prompt: String?
    @Option(help: "A file that holds the prompt.") var promptFile: String?
    @Option(
        help: ArgumentHelp(
            "Many prompts, one JSON object a line: {\"prompt\": \"…\"}, with system, max_tokens, temperature, adapter "
                + "and the like where they differ. Answers are JSON lines in the same order.",
            valueName: "file"),
        completion: .file())
    var promptsFile: String?
    @Option(help: "The most prompts of --prompts-file that are continued at once.") var batch = 8
    @Option(help: "A system message, for models with a chat template.") var system: String?
    @Flag(help: "Take the prompt as it stands, without the chat template.") var raw = false

    func validate() throws {
        guard (1...256).contains(batch) else {
            throw ValidationError("--batch must be between 1 and 256, not \(batch)")
        }
        try adapting.refuse(neurons)
        guard promptsFile != nil else { return }
        if prompt != nil || promptFile != nil {
            throw ValidationError("give --prompts-file or one prompt, not both")
        }
        if drafting.draft != nil {
            throw ValidationError("--draft works on one prompt, not on --prompts-file")
        }
        if neurons.coreNeurons != nil {
            throw ValidationError("--core-neurons works on one prompt, not on --prompts-file")
        }
    }

    func run() async throws {
        if let promptsFile { return try await runFile(promptsFile) }
        let text = try promptText()
        guard !text.isEmpty else { throw ModelError.emptyPrompt }
        let engine = try await model.openEngine(
            running, context: sampling.context, drafting, neurons, weights, output)
        let ids: [TokenID]
        if raw || engine.template == nil {
            ids = engine.tokenizer.encode(text, addBOS: engine.tokenizer.addsBOS)
        } else {
            var messages = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
            messages.append(ChatMessage(role: "user", content: text))
            ids = try engine.promptIDs(messages)
        }
        let json = output.json
        let adapting = adapting
        let adapter = try await engine.run { try adapting.open(for: $0.model) }.named(nil)
        let (result, wasInterrupted) = try await Interruption.stopping { cancellation in
            try await engine.generate(
                ids, sampling.generation(seed: running.seed), adapter: adapter, cancellation: cancellation
            ) { piece in
                if !json { StandardOutput.write(piece) }
            }
        }
        let placed = await engine.weightStore
        if json {
            var answer = JSONObject([
                ("text", .string(result.text)),
                ("tokens", .array(result.tokens.map { .integer(Int64($0)) })),
                ("promptTokens", .integer(Int64(result.promptTokens))),
                ("prefillTokensPerSecond", .number(result.prefillTokensPerSecond)),
                ("decodeTokensPerSecond", .number(result.decodeTokensPerSecond)),
                ("finishReason", .string(result.finishReason.rawValue)),
            ])
            if drafting.draft != nil {
                answer["draftedTokens"] = .integer(Int64(result.draftedTokens))
                answer["acceptedTokens"] = .integer(Int64(result.acceptedTokens))
            }
            if let report = result.coreNeurons { answer["coreNeurons"] = report.json }
            if weights.isAsked(running) { answer["weights"] = .object(placed?.plan.json ?? JSONObject()) }
            if let adapter { answer["adapter"] = .string(adapter.name) }
            StandardOutput.write(.object(answer))
        } else {
            StandardOutput.write("\n")
            output.note(
                "\(result.promptTokens) prompt tokens at \(Format.rate(result.prefillTokensPerSecond)), "
                    + "\(result.tokens.count) tokens at \(Format.rate(result.decodeTokensPerSecond)), "
                    + (result.acceptance.map {
                        "\(Format.percent($0)) of \(result.draftedTokens) guesses kept, "
                    } ?? "") + (result.coreNeurons?.text ?? "")
                    + "activations \(running.activations.rawValue)"
                    + (placed?.statistics.map { "; \($0.summary)" } ?? ""))
        }
        if wasInterrupted { throw ExitCode(128 + SIGINT) }
    }

    private func promptText() throws -> String {
        String(
            decoding: try TextInput.bytes(text: prompt, file: promptFile, named: "--prompt"), as: UTF8.self)
    }
}
