import ArgumentParser
import Glibc
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText

/// Prompts in a file, one JSON object a line, continued many at a time.
struct PromptFile {
    struct Prompt {
        var messages: [ChatMessage]
        var text: String
        var options: GenerationOptions
        /// nil: the first there is; empty: none.
        var adapter: String?
    }

    let prompts: [Prompt]

    /// - Parameter options: of prompts that do not say otherwise.
    /// - Throws: ``CommandError`` that names the line.
    init(path: String, system: String?, options: GenerationOptions) throws {
        let bytes = try TextInput.bytes(text: nil, file: path, named: "--prompts-file")
        var prompts: [Prompt] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .enumerated()
        {
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            do {
                prompts.append(try PromptFile.prompt(JSONValue(parsing: Array(line)), system, options))
            } catch {
                throw CommandError("\(path):\(index + 1): \(error)")
            }
        }
        guard !prompts.isEmpty else {
            throw CommandError("\(path) holds no prompt; expected {\"prompt\": \"…\"} a line")
        }
        self.prompts = prompts
    }

    private static func prompt(
        _ value: JSONValue, _ system: String?, _ common: GenerationOptions
    ) throws -> Prompt {
        guard let object = value.object else { throw CommandError("expected a JSON object") }
        var options = common
        var text: String?
        var system = system
        var adapter: String?
        for (key, value) in object.pairs {
            func need<Value>(_ value: Value?, _ kind: String) throws -> Value {
                guard let value else { throw CommandError("\(key): expected \(kind)") }
                return value
            }
            func number() throws -> Float { Float(try need(value.number, "a number")) }
            func string() throws -> String { try need(value.string, "a text") }
            func count() throws -> Int { try need(value.integer, "a whole number") }
            switch key {
            case "prompt": text = try string()
            case "adapter": adapter = try string()
            case "system": system = try string()
            case "max_tokens": options.maxTokens = try count()
            case "temperature": options.temperature = try number()
            case "top_p": options.topP = try number()
            case "top_k": options.topK = try count()
            case "min_p": options.minP = try number()
            case "repeat_penalty": options.repeatPenalty = try number()
            case "seed": options.seed = try need(UInt64(exactly: try count()), "0 or more")
            case "stop":
                options.stop = try (value.array ?? [value]).map { (stop: JSONValue) -> String in
                    try need(stop.string, "texts")
                }
            default:
                throw CommandError(
                    "unknown key '\(key)'; known are prompt, system, max_tokens, temperature, top_p, top_k, min_p, "
                        + "repeat_penalty, seed, stop, adapter")
            }
        }
        guard let text, !text.isEmpty else { throw CommandError("expected a 'prompt'") }
        try options.validate()
        let opening = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
        return Prompt(
            messages: opening + [ChatMessage(role: "user", content: text)], text: text, options: options,
            adapter: adapter)
    }
}

extension GenerateCommand {
    /// Continues the prompts of a file; results come as JSON lines in the order of the file.
    func runFile(_ path: String) async throws {
        let file = try PromptFile(
            path: path, system: system, options: sampling.generation(seed: running.seed))
        var settings = running.runnerConfiguration()
        settings.logitRows = batch
        settings.chunk = max(settings.chunk, batch)
        let checkpoint = try await model.openCheckpoint(output)
        if weights.readsAlone(running) { checkpoint.expectFewReads() }
        let loaded = try LoadedModel(checkpoint)
        try loaded.model.requireHead()
        let adapters = try adapting.open(for: loaded.model)
        let requests = try file.prompts.map { prompt in
            let ids =
                raw || loaded.template == nil
                ? loaded.tokenizer.encode(prompt.text, addBOS: loaded.tokenizer.addsBOS)
                : try loaded.tokenizer.promptIDs(prompt.messages, loaded.template)
            return GenerationRequest(
                prompt: ids, options: prompt.options, adapter: try adapters.named(prompt.adapter))
        }
        // An answer names its adapter where adapters were given.
        let names = requests.map { adapters.all.isEmpty ? nil : $0.adapter?.name ?? "" }
        let runner = try ModelRunner(loaded.model, settings)
        let most = min(sampling.context ?? .max, loaded.model.configuration.contextLength)
        let pages = requests.map { runner.pages(tokens: min(most, $0.prompt.count + $0.options.maxTokens)) }
        if var request = weights.request(running, unless: runner.memoryPlan(tokens: 0)) {
            // The texts that may be under way at once.
            request.cacheBytes = pages.sorted(by: >).prefix(batch).reduce(0, +) * runner.pageBytes
            output.note("\(try runner.placeWeights(request))")
        }
        let fixed = runner.memoryPlan(tokens: 0)
        try running.admit(fixed, output)
        var configuration = BatchGenerator.Configuration()
        configuration.context = sampling.context
        configuration.cacheBytes = running.memoryBytes - fixed.total
        let limits = configuration
        let json = output.json
        let plan = runner.store?.plan
        let count = requests.count
        let progress = ProgressPrinter(output)
        let (answer, wasInterrupted) = try await Interruption.stopping { cancellation in
            let clock = ContinuousClock()
            let start = clock.now
            var lines = OrderedLines(json: json)
            var tokens = 0
            var done = 0
            _ = try BatchGenerator(runner: runner, tokenizer: loaded.tokenizer, limits).generate(
                requests, cancellation: cancellation
            ) { index, result in
                done += 1
                tokens += result.tokens.count
                progress.update("generating", done, of: count, "prompts")
                lines.add(index, Self.json(index, result, adapter: names[index]))
            }
            return (lines: lines.values, tokens: tokens, seconds: (clock.now - start) / .seconds(1))
        }
        if json {
            var object = JSONObject([
                ("results", .array(answer.lines)), ("tokens", .integer(Int64(answer.tokens))),
                ("seconds", .number(answer.seconds)), ("batch", .integer(Int64(batch))),
            ])
            if weights.isAsked(running) { object["weights"] = .object(plan?.json ?? JSONObject()) }
            StandardOutput.write(.object(object))
        }
        let speed = Format.rate(Double(answer.tokens) / answer.seconds)
        output.note("\(count) prompts, \(answer.tokens) tokens, \(speed) in all, up to \(batch) at once")
        if wasInterrupted { throw ExitCode(128 + SIGINT) }
    }

    private static func json(_ index: Int, _ result: GenerationResult, adapter: String?) -> JSONValue {
        var line = JSONObject([
            ("index", .integer(Int64(index))), ("text", .string(result.text)),
            ("tokens", .array(result.tokens.map { .integer(Int64($0)) })),
            ("promptTokens", .integer(Int64(result.promptTokens))),
            ("reusedTokens", .integer(Int64(result.reusedTokens))),
            ("finishReason", .string(result.finishReason.rawValue)),
        ])
        if let adapter { line["adapter"] = .string(adapter) }
        return .object(line)
    }
}

/// Lines that are written in order, each as soon as those before it are.
private struct OrderedLines {
    let json: Bool
    private(set) var values: [JSONValue] = []
    private var early: [Int: JSONValue] = [:]

    init(json: Bool) { self.json = json }

    mutating func add(_ index: Int, _ value: JSONValue) {
        early[index] = value
        while let next = early.removeValue(forKey: values.count) {
            values.append(next)
            if !json { StandardOutput.write(next.text(sortedKeys: true) + "\n") }
        }
    }
}
