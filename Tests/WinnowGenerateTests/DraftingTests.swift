import Testing
import WinnowCore
import WinnowGenerate
import WinnowModels
import WinnowText

let fixtures: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(2)
    return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
}()

/// Two models over the same 288 tokens, with other weights.
func tiny(_ name: String = "tied") throws -> LoadedModel { try LoadedModel(opening: "\(fixtures)/\(name)") }

func runner(_ loaded: LoadedModel, logitRows: Int = 1, chunk: Int = 256) throws -> ModelRunner {
    var configuration = ModelRunner.Configuration(threads: 1)
    configuration.logitRows = logitRows
    configuration.chunk = chunk
    return try ModelRunner(loaded.model, configuration)
}

func options(_ change: (inout GenerationOptions) -> Void = { _ in }) -> GenerationOptions {
    var options = GenerationOptions()
    options.maxTokens = 40
    change(&options)
    return options
}

/// Guesses the text that it was told, wrong at every `wrongEach`-th token.
private final class Oracle: Drafter {
    let text: [TokenID]
    let wrongEach: Int

    init(_ text: [TokenID], wrongEach: Int = .max) {
        self.text = text
        self.wrongEach = wrongEach
    }

    func draft(
        after tokens: [TokenID], count: Int, like sampler: Sampler, cancellation: CancellationFlag?
    ) -> [DraftedToken] {
        (tokens.count..<min(tokens.count + count, text.count)).map { index in
            DraftedToken(index % wrongEach == wrongEach - 1 ? (text[index] + 1) % 288 : text[index])
        }
    }
}

@Suite struct DraftingTests {
    let prompts = ["The quick", "a", "0 1 2 3 4 5 6 7", "once upon a time there was"]

    /// The text of the tied model alone, and with a drafter.
    private func both(
        _ prompt: String, _ options: GenerationOptions, logitRows: Int, context: Int? = nil,
        drafter: (LoadedModel, [TokenID]) throws -> any Drafter
    ) throws -> (alone: GenerationResult, drafted: GenerationResult) {
        let loaded = try tiny()
        let ids = loaded.tokenizer.encode(prompt)
        let alone = try TextGenerator(
            runner: runner(loaded), tokenizer: loaded.tokenizer, context: context
        ).generate(ids, options)
        let drafted = try TextGenerator(
            runner: runner(loaded, logitRows: logitRows), tokenizer: loaded.tokenizer, context: context,
            drafter: drafter(loaded, ids + alone.tokens)
        ).generate(ids, options)
        #expect(drafted.text == alone.text)
        #expect(drafted.tokens == alone.tokens)
        #expect(drafted.finishReason == alone.finishReason)
        return (alone, drafted)
    }

    @Test(arguments: [2, 3, 6, 17])
    func theModelItselfGuessesEverything(_ logitRows: Int) throws {
        for prompt in prompts {
            let drafted = try both(prompt, options(), logitRows: logitRows) { loaded, _ in
                ModelDrafter(try runner(loaded))
            }.drafted
            #expect(drafted.acceptedTokens == drafted.draftedTokens)
            #expect(drafted.draftedTokens > 0)
        }
    }

    @Test(arguments: [2, 5, 9])
    func anotherModelChangesNothing(_ logitRows: Int) throws {
        for prompt in prompts {
            for penalty: Float in [1, 1.3] {
                let drafted = try both(prompt, options { $0.repeatPenalty = penalty }, logitRows: logitRows) {
                    _, _ in
                    ModelDrafter(try runner(tiny("untied")))
                }.drafted
                #expect(drafted.acceptedTokens < drafted.draftedTokens)
            }
        }
    }

    @Test func wrongGuessesInBetweenAreDropped() throws {
        for wrongEach in [2, 3, 5] {
            let drafted = try both("The quick", options(), logitRows: 7) { Oracle($1, wrongEach: wrongEach) }
                .drafted
            #expect(drafted.acceptedTokens > 0 && drafted.acceptedTokens < drafted.draftedTokens)
        }
    }

    @Test func whatIsChosenLeavesDrawsAsTheyAre() throws {
        // A guess that was not drawn takes nothing from the sampler's chance: the same seed, the same text.
        let hot = options {
            $0.temperature = 0.8
            $0.seed = 5
        }
        let drafted = try both("The quick", hot, logitRows: 6) { Oracle($1, wrongEach: 4) }.drafted
        #expect(drafted.acceptedTokens > 0)
        for prompt in prompts { _ = try both(prompt, hot, logitRows: 6) { _, _ in PromptLookup() } }
    }

    @Test func endsWhereTheTextEnds() throws {
        // The context's end, the last token, and a stop text inside of a draft.
        for context in [20, 21, 22, 23] {
            let (alone, drafted) = try both("a", options(), logitRows: 6, context: context) { Oracle($1) }
            #expect(
                alone.finishReason == .length && drafted.promptTokens + drafted.tokens.count <= context + 1)
        }
        for most in 1...6 { _ = try both("a", options { $0.maxTokens = most }, logitRows: 6) { Oracle($1) } }
        let text = try both("a", options(), logitRows: 6) { Oracle($1) }.alone.text
        let stop = String(text.dropFirst(text.count / 2).prefix(3))
        let stopped = try both("a", options { $0.stop = [stop] }, logitRows: 6) { Oracle($1) }.drafted
        #expect(stopped.finishReason == .stop && !stopped.text.contains(stop))
    }

    @Test func theNextPromptFindsWhatIsCached() throws {
        let loaded = try tiny()
        let generator = TextGenerator(
            runner: try runner(loaded, logitRows: 6), tokenizer: loaded.tokenizer,
            drafter: ModelDrafter(try runner(tiny("untied"))))
        let first = try generator.generate(loaded.tokenizer.encode("The quick"), options())
        let next = loaded.tokenizer.encode("The quick") + first.tokens + loaded.tokenizer.encode(" and")
        let again = try generator.generate(next, options())
        #expect(again.reusedTokens >= next.count - loaded.tokenizer.encode(" and").count - 1)
        let fresh = try TextGenerator(runner: runner(loaded), tokenizer: loaded.tokenizer).generate(
            next, options())
        #expect(again.tokens == fresh.tokens)
    }

    @Test func cancellingEndsADraftToo() throws {
        let loaded = try tiny()
        let flag = CancellationFlag()
        let generator = TextGenerator(
            runner: try runner(loaded, logitRows: 6), tokenizer: loaded.tokenizer,
            drafter: ModelDrafter(try runner(loaded)))
        var pieces = 0
        let result = try generator.generate(
            loaded.tokenizer.encode("The quick"), options { $0.maxTokens = 100 }, cancellation: flag
        ) { _ in
            pieces += 1
            if pieces == 6 { flag.cancel() }
        }
        #expect(result.finishReason == .cancelled && result.tokens.count < 40)
    }

    @Test func lookingUpFindsTheLastPlaceOfTheLongestRun() {
        let lookup = PromptLookup(longest: 3, shortest: 2)
        func guesses(_ text: [TokenID], _ count: Int = 3) -> [TokenID] {
            lookup.draft(after: text, count: count, like: Sampler(options()), cancellation: nil).map(\.token)
        }
        #expect(guesses([1, 2, 3, 4, 5, 9, 2, 3, 7, 8, 6, 2, 3]) == [7, 8, 6])
        #expect(guesses([1, 2, 3, 4, 5, 9, 2, 3, 7, 8, 1, 2, 3]) == [4, 5, 9])
        #expect(guesses([1, 2, 3, 4]) == [])
        #expect(guesses([5, 5, 5]) == [5])
        #expect(guesses([5]) == [])
    }

    @Test func anotherVocabularyIsRefused() throws {
        var configuration = Engine.Configuration(threads: 1)
        let other = fixtures + "/../families/gpt2"
        configuration.draft = .model(path: other)
        #expect(throws: GenerationError.otherVocabulary(draft: other)) {
            try Engine(opening: fixtures + "/tied", configuration)
        }
    }
}

@Suite struct VerificationTests {
    /// What comes out of draft and verification together is what the sampler alone draws (chi-square over 5 tokens,
    /// 4 degrees of freedom; 18.5 is passed once in a thousand), and what was drafted alone is not.
    @Test(arguments: [("plain", 1), ("top-p", 0.8), ("min-p", 0.7)])
    func verifiedTokensFollowTheModel(_ name: String, _ share: Float) {
        var settings = options {
            $0.temperature = 0.9
            if name == "top-p" { $0.topP = share }
            if name == "min-p" { $0.minP = 1 - share }
        }
        let own: [Float] = [1.2, 0.3, -0.4, 0.9, -1.5]
        let other: [Float] = [0.1, 1.4, 0.2, -0.8, -0.5]
        let draws = 12_000
        var counts: [String: [Double]] = [:]
        var kept = 0
        settings.seed = 1
        var alone = Sampler(settings)
        settings.seed = 2
        var verifier = Sampler(settings)
        settings.seed = 3
        var drafting = Sampler(settings)
        for _ in 0..<draws {
            let plain = own.withUnsafeBufferPointer { alone.pick($0) }
            let draft = other.withUnsafeBufferPointer { drafting.draft($0) }
            let verified = own.withUnsafeBufferPointer { verifier.verify(draft, $0) }
            counts["plain", default: [0, 0, 0, 0, 0]][Int(plain)] += 1
            counts["draft", default: [0, 0, 0, 0, 0]][Int(draft.token)] += 1
            counts["verified", default: [0, 0, 0, 0, 0]][Int(verified)] += 1
            if verified == draft.token { kept += 1 }
        }
        /// Of two samples of equal size.
        func chiSquare(_ a: [Double], _ b: [Double]) -> Double {
            zip(a, b).reduce(0) { $0 + ($1.0 + $1.1 > 0 ? ($1.0 - $1.1) * ($1.0 - $1.1) / ($1.0 + $1.1) : 0) }
        }
        #expect(chiSquare(counts["plain"]!, counts["verified"]!) < 18.5)
        #expect(chiSquare(counts["plain"]!, counts["draft"]!) > 300)
        #expect(kept > draws / 20 && kept < draws)
    }

    @Test func residualIsWhatTheDraftDidNotCover() {
        let p = TokenDistribution(ids: [0, 1, 2], weights: [5, 3, 2])
        let q = TokenDistribution(ids: [1, 0], weights: [6, 4])
        // p - q = 0.1, -0.3, 0.2.
        var random = Random(seed: 4)
        var counts = [0, 0, 0]
        let rest = p.beyond(q)
        for _ in 0..<9_000 { counts[Int(rest.draw(using: &random))] += 1 }
        #expect(counts[1] == 0 && abs(counts[0] - 3_000) < 200)
        #expect(p.beyond(p) == p)
        #expect(q.probability(of: 2) == 0 && abs(q.probability(of: 0) - 0.4) < 1e-12)
    }
}
