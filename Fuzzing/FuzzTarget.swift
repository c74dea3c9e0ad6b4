import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowTrain

/// A reader under fuzzing: what it does with an input, and which errors it may answer with.
///
/// Anything else ends the process, which is what libFuzzer looks for: a trap, an error of another type, a read
/// outside of memory (the address sanitizer), a second without an answer, a large allocation.
struct FuzzTarget {
    let name: String
    /// Inputs are JSON: half of the mutations keep them so.
    var isJSON = false
    /// - Throws: the reader's own errors.
    let read: ([UInt8]) throws -> Void

    static func isTyped(_ error: any Error) -> Bool {
        error is CheckpointError || error is GGUFError || error is SafetensorsError || error is FileError
            || error is TokenizerError || error is TemplateError || error is JSONError || error is ModelError
            || error is TrainingError || error is OptimizerError || error is ScheduleError
    }

    func callAsFunction(_ input: [UInt8]) {
        do {
            try read(input)
        } catch {
            precondition(FuzzTarget.isTyped(error), "\(name): an error of type \(type(of: error)): \(error)")
            precondition(!"\(error)".isEmpty, "\(name): an error that says nothing")
        }
    }

    /// - Parameter folder: a model's folder, for the readers of one file of it.
    /// - Parameter scratch: an empty folder.
    static func all(folder: String?, scratch: String) -> [FuzzTarget] {
        let written = "\(scratch)/input"
        var targets = [
            FuzzTarget(name: "gguf") { input in
                try TemporaryFolder.write(input, to: written + ".gguf")
                try use(Checkpoint.open(written + ".gguf"))
            },
            FuzzTarget(name: "safetensors") { input in
                let file = try SafetensorsFile(parsing: Storage(copying: input), path: "input.safetensors")
                for name in file.names { _ = file[name]?.floats() }
            },
            FuzzTarget(name: "tokenizer.json", isJSON: true) { input in
                try use(TokenizerDefinition(tokenizerJSON: JSONValue(parsing: input), configuration: nil))
            },
            FuzzTarget(name: "tokenizer.model") { input in
                try input.withUnsafeBufferPointer { try use(TokenizerDefinition(sentencePiece: $0)) }
            },
            FuzzTarget(name: "ranks") { input in
                let rules = TokenizerDefinition.RankFileRules(preTokenizer: "qwen2", special: ["<|end|>"], bos: nil)
                try input.withUnsafeBufferPointer {
                    try use(TokenizerDefinition(ranks: $0, modelType: nil, rules: rules))
                }
            },
            FuzzTarget(name: "recipe", isJSON: true) { input in
                _ = try TrainingConfiguration(json: input, file: "recipe.json").json
            },
            FuzzTarget(name: "json", isJSON: true) { input in _ = try JSONValue(parsing: input).text() },
            FuzzTarget(name: "template") { input in
                let template = try ChatTemplate(source: String(decoding: input, as: UTF8.self))
                _ = try template.render(context: conversation)
            },
        ]
        if let folder {
            targets.append(
                FuzzTarget(name: "config.json", isJSON: true) { input in
                    try TemporaryFolder.write(input, to: "\(folder)/config.json")
                    try use(Checkpoint.open(folder))
                })
        }
        return targets
    }

    private static func use(_ checkpoint: Checkpoint) throws {
        for name in checkpoint.names { _ = try checkpoint.tensor(name) }
        try use(checkpoint.tokenizer)
        let model = try LanguageModel(checkpoint)
        let runner = try ModelRunner(model, ModelRunner.Configuration(threads: 1))
        let sequence = runner.makeSequence(capacity: 3)
        runner.begin()
        guard model.configuration.traits.image == nil else { return }
        try [0, 1, 2].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        if model.hasHead { _ = try runner.logits(rows: 2..<3) } else { _ = runner.states() }
    }

    private static func use(_ definition: TokenizerDefinition) throws {
        let tokenizer = try Tokenizer(definition)
        let ids = tokenizer.encode("The wheat: 42 🌾é<|im_end|>\n", addBOS: true)
        _ = tokenizer.decode(ids + [-1, .max])
        guard let source = definition.chatTemplate else { return }
        _ = try ChatTemplate(source: source).render(messages: [ChatMessage(role: "user", content: "wheat")])
    }

    /// What templates look at: turns, a tool, a call of it.
    private static let conversation = JSONObject([
        (
            "messages",
            [
                ["role": "system", "content": "Be brief."], ["role": "user", "content": "  Is wheat grass? 🌾 "],
                [
                    "role": "assistant", "content": "",
                    "tool_calls": [
                        [
                            "type": "function", "id": "call12345",
                            "function": ["name": "look_up", "arguments": ["word": "wheat"]],
                        ]
                    ],
                ],
                ["role": "tool", "content": "yes", "tool_call_id": "call12345"],
            ]
        ), ("add_generation_prompt", true), ("bos_token", "<s>"), ("eos_token", "</s>"),
        (
            "tools",
            [
                [
                    "type": "function",
                    "function": [
                        "name": "look_up", "description": "Finds a word.",
                        "parameters": ["type": "object", "properties": ["word": ["type": "string"]]],
                    ],
                ]
            ]
        ),
    ])
}
