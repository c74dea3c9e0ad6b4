import ArgumentParser
import WinnowGenerate
import WinnowModels
import WinnowText

struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "A conversation in the terminal, with the model's chat template.",
        discussion: """
            Type a message and press return. Ctrl-C ends an answer; /clear forgets the conversation; /exit, Ctrl-C \
            at the prompt, or end of input leaves. With adapters, /adapter NAME goes on with that one, and /adapter \
            alone with none.

            Examples:
              winnow chat --model smollm2-135m-q4_1 --temperature 0.7
              winnow chat --model smollm2-135m-q4_1 --adapter tuned/adapter:mine
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var sampling: SamplingOptions
    @OptionGroup var drafting: DraftOptions
    @OptionGroup var neurons: CoreNeuronArguments
    @OptionGroup var weights: WeightOptions
    @OptionGroup var adapting: AdapterOptions
    @Option(help: "A system message.") var system: String?

    func validate() throws { try adapting.refuse(neurons) }

    func run() async throws {
        let engine = try await model.openEngine(
            running, context: sampling.context, drafting, neurons, weights, output)
        guard engine.template != nil else {
            throw CommandError(
                "this model has no chat template: it continues text; use 'winnow generate --raw'")
        }
        let opening = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
        var messages = opening
        let adapting = adapting
        let adapters = try await engine.run { try adapting.open(for: $0.model) }
        var adapter = try adapters.named(nil)
        while true {
            if StandardOutput.isTerminal { StandardOutput.write("> ") }
            guard let line = readLine() else { break }
            switch line {
            case "": continue
            case "/exit": return
            case "/clear":
                messages = opening
                continue
            default: break
            }
            if line == "/adapter" || line.hasPrefix("/adapter ") {
                do { adapter = try adapters.named(String(line.dropFirst(9))) } catch {
                    output.note("\(error)", level: .error)
                }
                continue
            }
            messages.append(ChatMessage(role: "user", content: line))
            let ids = try engine.promptIDs(messages)
            let result: GenerationResult
            do {
                result = try await Interruption.stopping { [adapter] cancellation in
                    try await engine.generate(
                        ids, sampling.generation(seed: running.seed), adapter: adapter,
                        cancellation: cancellation
                    ) {
                        StandardOutput.write($0)
                    }
                }.result
            } catch ModelError.promptTooLong(let tokens, let context) {
                // The conversation outgrew the context: the last message is taken back, the rest stays usable.
                messages.removeLast()
                output.note(
                    "the conversation is \(tokens) tokens long and the context \(context): /clear forgets it, "
                        + "--context raises the limit", level: .error)
                continue
            }
            StandardOutput.write("\n")
            messages.append(ChatMessage(role: "assistant", content: result.text))
        }
    }
}
