import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText

/// Encoders against transformers: the folders of `Tools/make_families.py`.
@Suite struct EncoderTests {
    static let names = ["bert", "roberta", "mpnet", "modernbert"]

    private struct Expected {
        let prompts: [[TokenID]]
        let pixels: [Float]
        let rows: [[Int]]
        let states: [[[Double]]]
        let logits: [Double]

        init(_ name: String) throws {
            let json = try FamilyFixture.json("\(name)/expected.json")
            func list(_ value: JSONValue?) -> [Double] { value?.array?.compactMap(\.number) ?? [] }
            prompts = (json["prompts"]?.array ?? []).map { list($0).map { TokenID($0) } }
            pixels = list(json["pixels"]).map { Float($0) }
            logits = list(json["logits"])
            rows = (json["rows"]?.array ?? []).map { list($0).map { Int($0) } }
            states = (json["states"]?.array ?? []).map { ($0.array ?? []).map(list) }
        }
    }

    private static func open(_ name: String) throws -> Checkpoint {
        try Checkpoint.open("\(FamilyFixture.folder)/\(name)")
    }

    private static func runner(_ model: LanguageModel, threads: Int = 1) throws -> ModelRunner {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = 128
        return try ModelRunner(model, configuration)
    }

    /// The last states of texts that run together.
    private static func states(_ model: LanguageModel, _ texts: [[TokenID]], threads: Int = 1) throws
        -> [[Float]]
    {
        let runner = try runner(model, threads: threads)
        runner.begin()
        for text in texts {
            try text.withUnsafeBufferPointer {
                try runner.append($0, to: runner.makeSequence(capacity: text.count))
            }
        }
        try runner.run()
        let all = Array(runner.states())
        let width = model.configuration.width
        return (0..<all.count / width).map { Array(all[$0 * width..<($0 + 1) * width]) }
    }

    private static func expect(_ model: LanguageModel, _ expected: Expected, _ comment: String) throws {
        #expect(expected.states.count == 2 && expected.rows[0].count > 10)
        let together = try states(model, expected.prompts, threads: 2)
        var first = 0
        for (index, prompt) in expected.prompts.enumerated() {
            let own = Array(together[first..<first + prompt.count])
            first += prompt.count
            let difference = largestDifference(expected.rows[index].map { own[$0] }, expected.states[index])
            #expect(difference < 2e-4, "\(comment), text \(index)")
            print("\(comment), text \(index): largest difference of a state \(Float(difference))")
            // A text's states do not depend on what runs beside it.
            #expect(try states(model, [prompt]) == own)
        }
    }

    @Test(arguments: names) func statesMatchTransformers(_ name: String) throws {
        try EncoderTests.expect(try LanguageModel(EncoderTests.open(name)), Expected(name), name)
    }

    @Test func imagesMatchTransformers() throws {
        let expected = try Expected("vit")
        let model = try LanguageModel(EncoderTests.open("vit"))
        let runner = try EncoderTests.runner(model)
        runner.begin()
        try runner.append(image: expected.pixels, to: runner.makeSequence(capacity: 17))
        try runner.run()
        let states = Array(runner.states())
        let rows = expected.rows[0].map { Array(states[$0 * 32..<$0 * 32 + 32]) }
        let difference = largestDifference(rows, expected.states[0])
        print("vit: largest difference of a state \(Float(difference))")
        #expect(difference < 2e-4)
        #expect(
            throws: ModelError.noSuchInput(
                architecture: "vit", expected: "images of [3, 20, 20] values, not 7")
        ) {
            runner.begin()
            try runner.append(image: [Float](repeating: 0, count: 7), to: runner.makeSequence(capacity: 17))
        }
        #expect(throws: ModelError.noSuchInput(architecture: "vit", expected: "images")) {
            try [TokenID(1)].withUnsafeBufferPointer {
                try runner.append($0, to: runner.makeSequence(capacity: 17))
            }
        }
    }

    @Test func labelsMatchTransformers() throws {
        let expected = try Expected("vit-labels")
        let model = try LanguageModel(EncoderTests.open("vit-labels"))
        let runner = try EncoderTests.runner(model)
        runner.begin()
        try runner.append(image: expected.pixels, to: runner.makeSequence(capacity: 10))
        try runner.run()
        let difference = largestDifference([try Array(runner.logits(rows: 0..<1))], [expected.logits])
        print("vit-labels: largest difference of a logit \(Float(difference))")
        #expect(expected.logits.count == 7 && difference < 2e-4)
        #expect(throws: ModelError.noHead(architecture: "vit")) { try model.requireHead() }
    }

    @Test(arguments: names + ["vit", "vit-labels"]) func everyTensorIsVisitedOnce(_ name: String) throws {
        let checkpoint = try EncoderTests.open(name)
        var visited: [String] = []
        try LanguageModel(checkpoint).visit { visited.append($0.name) }
        #expect(visited.sorted() == checkpoint.names.sorted())
        #expect(!visited.contains { $0.contains("pooler") })
    }

    @Test(arguments: names + ["vit", "vit-labels"]) func writtenFoldersHoldTheSameModel(_ name: String) throws
    {
        let checkpoint = try EncoderTests.open(name)
        let pool = try KernelPool(threads: 1)
        try TemporaryFolder.with { folder in
            for target in [ModelConversion.Target.hf, .packed] {
                try ModelConversion(to: target).write(
                    checkpoint, to: "\(folder)/\(target)", overwrite: false, on: pool)
                let again = try LanguageModel(Checkpoint.open("\(folder)/\(target)"))
                guard !name.hasPrefix("vit") else { continue }
                try EncoderTests.expect(again, Expected(name), "\(name) as a folder again")
            }
        }
    }

    /// GGUF files know BERT; the others they cannot say.
    @Test func writtenGGUFHoldsTheSameModel() throws {
        let pool = try KernelPool(threads: 1)
        try TemporaryFolder.with { folder in
            let conversion = try ModelConversion(to: .gguf)
            try conversion.write(
                EncoderTests.open("bert"), to: "\(folder)/a.gguf", overwrite: false, on: pool)
            let again = try LanguageModel(Checkpoint.open("\(folder)/a.gguf"))
            try EncoderTests.expect(again, Expected("bert"), "bert as a GGUF file")
            for name in ["roberta", "mpnet", "modernbert", "vit"] {
                #expect(throws: CheckpointError.self) {
                    try conversion.write(
                        EncoderTests.open(name), to: "\(folder)/b.gguf", overwrite: false, on: pool)
                }
            }
        }
    }

    @Test func vectorsDoNotDependOnTheBatch() throws {
        let loaded = try LoadedModel(EncoderTests.open("bert"))
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.chunk = 64
        let texts: [[TokenID]] = (1...9).map { length in
            (0..<length * 7).map { TokenID(3 + $0 * length % 50) }
        }
        for mode in SentencePooling.Mode.allCases {
            let pooling = SentencePooling(mode: mode, normalizes: true)
            let encoder = try SentenceEncoder(loaded, pooling: pooling, configuration)
            let together = try encoder.embed(texts)
            #expect(together.count == texts.count)
            for (text, vector) in zip(texts, together) {
                #expect(try encoder.embed([text]) == [vector])
                let length = vector.reduce(0) { $0 + Double($1) * Double($1) }
                #expect(abs(length - 1) < 1e-5)
            }
        }
    }

    @Test func whatEncodersDoNotDoIsRefused() throws {
        let model = try LanguageModel(EncoderTests.open("bert"))
        #expect(throws: ModelError.noHead(architecture: "bert")) { try model.requireHead() }
        let decoder = try LoadedModel(EncoderTests.open("qwen3"))
        #expect(throws: ModelError.needsPooling(architecture: "qwen3")) {
            try SentenceEncoder(decoder, ModelRunner.Configuration(threads: 1))
        }
        let encoder = try SentenceEncoder(
            LoadedModel(EncoderTests.open("bert")),
            pooling: SentencePooling(mode: .cls, normalizes: false, maxTokens: 3),
            ModelRunner.Configuration(threads: 1))
        #expect(throws: ModelError.promptTooLong(tokens: 4, context: 3)) { try encoder.tokens("#$%&") }
        #expect(try encoder.tokens("#$%&", .truncate).count == 3)
    }
}
