import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText

/// Models whose JSON files are well-formed and say something else: they open or throw a typed error.
@Suite(.serialized) struct TreeMutationTests {
    static let generation = """
        {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 2, "do_sample": true, "temperature": 0.6,
         "top_p": 0.9, "transformers_version": "4.42.3"}
        """

    @Test(arguments: [
        ("untied", "config.json", 120), ("untied", "tokenizer.json", 60),
        ("untied", "tokenizer_config.json", 60),
        ("untied", "generation_config.json", 80), ("tied", "model.safetensors.index.json", 60),
    ])
    func otherTrees(_ folder: String, _ file: String, _ count: Int) throws {
        try Fixture.withCopy(of: folder) { copy in
            try Fixture.write(Array(TreeMutationTests.generation.utf8), to: "\(copy)/generation_config.json")
            try TreeMutationTests.run(copy, file, count: count)
        }
    }

    /// The formats and shapes of packed matrices, and what the model says of itself.
    @Test func otherTreesOfPackedFolders() throws {
        try Fixture.withFolder { folder in
            let path = "\(folder)/model"
            try Fixture.writeMasked(to: path)
            try TreeMutationTests.run(path, "config.json", count: 80)
        }
    }

    /// Families read fields of their own: windows, soft caps, rope scalings, lists of layers.
    @Test(arguments: [
        "gemma2", "gemma3", "gemma3-odd", "gpt2", "llama3", "mistral", "opt", "phi3", "phi3-long", "qwen2",
        "qwen2-window", "qwen3", "mixtral", "qwen2-moe-mixed", "qwen3-moe", "layered", "stablelm-parallel",
        "granite", "gpt-neox",
        "olmo2", "roberta", "mpnet", "modernbert", "vit-labels",
    ])
    func otherTreesOfFamilies(_ family: String) throws {
        try Fixture.withCopy(of: "../families/\(family)") { copy in
            try TreeMutationTests.run(copy, "config.json", "config.json of \(family)", count: 15)
        }
    }

    @Test(arguments: ["bert", "bytes-nfc", "gemma", "llama-metaspace", "unigram", "unigram-words"])
    func otherTreesOfTokenizers(_ name: String) throws {
        let fixture = try JSONValue(parsing: Fixture.bytes(Fixture.path("../tokenizers/\(name).json")))
        let text = try #require(fixture["tokenizer"]).text()
        var mutator = try JSONTreeMutator(Array(text.utf8), seed: 23)
        let run = MutationRun(
            "tree of \(name)", count: 15, damaged: { mutator.next() },
            isExpected: { MutationTests.isTyped($0) || $0 is JSONError }
        ) { damaged in
            let definition = try TokenizerDefinition(
                tokenizerJSON: JSONValue(parsing: damaged), configuration: .object(JSONObject()),
                generation: nil)
            let tokenizer = try Tokenizer(definition)
            _ = tokenizer.decode(tokenizer.encode("The wheat: 42 🌾é<tool>\n", addBOS: true) + [-1, .max])
        }
        MutationTests.expectGood(run)
    }

    @Test func otherSafetensorsHeaders() throws {
        let bytes = try Fixture.bytes(Fixture.path("untied/model.safetensors"))
        let length = bytes[..<8].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
        var mutator = try JSONTreeMutator(Array(bytes[8..<8 + length]), seed: 22)
        let run = MutationRun(
            "header of model.safetensors", count: 300,
            damaged: {
                let header = mutator.next()
                let size = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
                return size + header + bytes[(8 + length)...]
            }, isExpected: MutationTests.isTyped
        ) { damaged in
            let file = try SafetensorsFile(parsing: Storage(copying: damaged), path: "model.safetensors")
            for name in file.names { _ = file[name]?.floats() }
        }
        MutationTests.expectGood(run)
    }

    /// Runs three tokens: what a configuration says must not end in the runner either.
    private static func step(_ model: LanguageModel) throws {
        let runner = try ModelRunner(model, ModelRunner.Configuration(threads: 1))
        let sequence = runner.makeSequence(capacity: 3)
        runner.begin()
        guard model.configuration.traits.image == nil else { return }
        try [0, 1, 2].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        if model.hasHead { _ = try runner.logits(rows: 2..<3) } else { _ = runner.states() }
    }

    private static func run(_ folder: String, _ file: String, _ name: String? = nil, count: Int) throws {
        let path = "\(folder)/\(file)"
        var mutator = try JSONTreeMutator(Fixture.bytes(path), seed: 21)
        let run = MutationRun(
            "tree of \(name ?? file)", count: count, damaged: { mutator.next() },
            isExpected: MutationTests.isTyped
        ) { damaged in
            try Fixture.write(damaged, to: path)
            let checkpoint = try Checkpoint.open(folder)
            try MutationTests.exercise(checkpoint)
            try TreeMutationTests.step(LanguageModel(checkpoint))
        }
        MutationTests.expectGood(run)
    }
}
