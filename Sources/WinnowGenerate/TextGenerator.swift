import CWinnow
import WinnowCore
import WinnowModels
import WinnowText

/// Continues token sequences with a ``ModelRunner``, keeping the cache of the last one: a prompt that begins as
/// the last one did is not computed again.
///
/// With a ``Drafter`` a decode step reads the guesses for several tokens at once, and keeps those that the model
/// would have written: the same text at temperature 0, the same distribution above.
///
/// With a ``NeuronPolicy`` the prompt is read with the whole model, and the text is written with the neurons that the
/// policy chooses after it. Then a prompt is always computed anew: what was cached while neurons were left out is not
/// what the whole model would have cached, and the choice needs the activations of all its tokens.
public final class TextGenerator {
    public let runner: ModelRunner
    public let tokenizer: Tokenizer
    private let cache: CachedSequence
    private let drafter: (any Drafter)?
    private let neurons: NeuronSwitch?

    /// - Parameter context: tokens of prompt and text together; the model's own length by default.
    /// - Parameter drafter: guesses up to `logitRows` - 1 of the runner's configuration at once.
    /// - Parameter neurons: chooses what is left out after a prompt; nil: nothing.
    public init(
        runner: ModelRunner, tokenizer: Tokenizer, context: Int? = nil, drafter: (any Drafter)? = nil,
        neurons: (any NeuronPolicy)? = nil
    ) {
        self.neurons = neurons.map { NeuronSwitch($0, runner) }
        self.runner = runner
        self.tokenizer = tokenizer
        self.drafter = drafter
        cache = CachedSequence(runner, capacity: context)
    }

    public var context: Int { cache.capacity }

    /// What a generation that fills the context holds in memory at its peak.
    public var memoryPlan: MemoryPlan {
        var plan = cache.memoryPlan
        if let neurons { plan.add("the core neurons, packed", bytes: neurons.byteCount) }
        if let drafter = drafter as? ModelDrafter {
            for part in drafter.memoryPlan.items { plan.add("the draft: \(part.name)", bytes: part.bytes) }
        }
        return plan
    }

    /// Generates, handing over text as soon as it is whole characters.
    ///
    /// - Parameter adapter: of the runner's model; runs beside it for this generation.
    /// - Throws: ``ModelError`` for an empty or too long prompt, ``GenerationError`` for bad options or logits,
    ///   ``NeuronError/besideAdapter(name:)``.
    public func generate(
        _ prompt: [TokenID], _ options: GenerationOptions, adapter: RunningAdapter? = nil,
        cancellation: CancellationFlag? = nil, onText: (String) -> Void = { _ in }
    ) throws -> GenerationResult {
        try options.validate()
        if let adapter, neurons != nil { throw NeuronError.besideAdapter(name: adapter.name) }
        guard !prompt.isEmpty else { throw ModelError.emptyPrompt }
        guard prompt.count < cache.capacity else {
            throw ModelError.promptTooLong(tokens: prompt.count, context: cache.capacity)
        }
        var continuation = Continuation(prompt, options, tokenizer)
        func show(_ text: String) { if !text.isEmpty { onText(text) } }
        defer { neurons?.restore() }
        do {
            let clock = ContinuousClock()
            let start = clock.now
            if neurons != nil { cache.truncate(to: 0) }
            cache.use(adapter)
            let reused = cache.reuse(prompt)
            let counter = neurons?.makeCounter(tokens: prompt.count)
            var logits = try cache.append(
                prompt[reused...], counting: neurons?.readsPrompt == true ? counter : nil,
                cancellation: cancellation)
            let report = try counter.flatMap { try neurons?.thin(after: $0) }
            continuation.record {
                $0.reusedTokens = reused
                $0.coreNeurons = report
                $0.prefillSeconds = (clock.now - start) / .seconds(1)
            }
            let decodeStart = clock.now
            defer { continuation.record { $0.decodeSeconds = (clock.now - decodeStart) / .seconds(1) } }
            var length = DraftLength(most: max(runner.configuration.logitRows - 1, 1))
            var drafts: [DraftedToken] = []
            while true {
                let accepted = try take(&continuation, logits, drafts, show)
                length.observe(drafted: drafts.count, accepted: accepted)
                // Behind the last token that was kept stand those that were not.
                cache.truncate(to: cache.length - drafts.count + accepted)
                guard !continuation.isFinished else { break }
                guard cache.room > 0 else {
                    show(continuation.finish(.length))
                    break
                }
                drafts = try draft(continuation, length.count, cancellation)
                let tokens = continuation.ids.suffix(1) + drafts.map(\.token)
                logits = try cache.append(tokens, logitsOf: tokens.count, cancellation: cancellation)
            }
        } catch ModelError.cancelled {
            show(continuation.finish(.cancelled))
        }
        return continuation.result
    }

    private func draft(
        _ continuation: Continuation, _ length: Int, _ cancellation: CancellationFlag?
    ) throws -> [DraftedToken] {
        // The last token of a text needs no guess, and the token before the guesses needs a slot.
        let count = min(length, runner.configuration.logitRows - 1, cache.room - 1, continuation.room - 1)
        guard let drafter, count > 0 else { return [] }
        return try drafter.draft(
            after: continuation.ids, count: count, like: continuation.sampler, cancellation: cancellation)
    }

    /// Takes tokens off the rows of logits up to the first that was guessed wrong.
    ///
    /// - Returns: how many guesses were kept.
    private func take(
        _ continuation: inout Continuation, _ logits: UnsafeBufferPointer<Float>, _ drafts: [DraftedToken],
        _ show: (String) -> Void
    ) throws -> Int {
        let vocabulary = runner.model.configuration.vocabularySize
        let isDecoding = !continuation.result.tokens.isEmpty
        var accepted = 0
        defer {
            continuation.record {
                $0.draftedTokens += drafts.count
                $0.acceptedTokens += accepted
            }
        }
        while true {
            let row = UnsafeBufferPointer(
                rebasing: logits[accepted * vocabulary..<(accepted + 1) * vocabulary])
            guard wn_all_finite(row.baseAddress, row.count) else {
                throw GenerationError.notFinite(position: cache.length - drafts.count + accepted - 1)
            }
            let draft = accepted < drafts.count ? drafts[accepted] : nil
            let (token, text) = continuation.take(row, draft: draft)
            show(text)
            if isDecoding { continuation.record { $0.decodedTokens += 1 } }
            guard let draft, draft.token == token else { return accepted }
            accepted += 1
            guard !continuation.isFinished else { return accepted }
        }
    }
}
