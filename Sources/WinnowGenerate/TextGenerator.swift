import CWinnow
import WinnowCore
import WinnowModels
import WinnowText

/// Why a generation ended.
public enum FinishReason: String, Sendable, Codable {
    /// An end-of-text token or a stop text.
    case stop
    /// `maxTokens`, or the context is full.
    case length
    case cancelled
}

/// What a generation did, with its speed.
public struct GenerationResult: Sendable {
    public var text: String
    /// Ids generated, end-of-text tokens not among them.
    public var tokens: [TokenID]
    public var promptTokens: Int
    /// Prompt tokens whose keys and values were already cached.
    public var reusedTokens: Int
    public var prefillSeconds: Double
    public var decodeSeconds: Double
    /// Tokens that decode steps made: the first comes out of the prefill.
    public var decodedTokens: Int
    public var finishReason: FinishReason

    public var prefillTokensPerSecond: Double {
        prefillSeconds > 0 ? Double(promptTokens - reusedTokens) / prefillSeconds : 0
    }

    public var decodeTokensPerSecond: Double { decodeSeconds > 0 ? Double(decodedTokens) / decodeSeconds : 0 }
}

/// Continues token sequences with a ``ModelRunner``, keeping the cache of the last one: a prompt that begins as
/// the last one did is not computed again.
public final class TextGenerator {
    public let runner: ModelRunner
    public let tokenizer: Tokenizer
    private var sequence: KVSequence
    private var cached: [TokenID] = []

    /// - Parameter context: tokens of prompt and text together; the model's own length by default.
    public init(runner: ModelRunner, tokenizer: Tokenizer, context: Int? = nil) {
        self.runner = runner
        self.tokenizer = tokenizer
        let length = runner.model.configuration.contextLength
        sequence = runner.makeSequence(capacity: min(context ?? length, length))
    }

    public var context: Int { sequence.capacity }

    /// Generates, handing over text as soon as it is whole characters.
    ///
    /// - Throws: ``ModelError`` for an empty or too long prompt, ``GenerationError`` for bad options or logits.
    public func generate(
        _ prompt: [TokenID], _ options: GenerationOptions, cancellation: CancellationFlag? = nil,
        onText: (String) -> Void = { _ in }
    ) throws -> GenerationResult {
        try options.validate()
        guard !prompt.isEmpty else { throw ModelError.emptyPrompt }
        guard prompt.count < sequence.capacity else {
            throw ModelError.promptTooLong(tokens: prompt.count, context: sequence.capacity)
        }
        var result = GenerationResult(
            text: "", tokens: [], promptTokens: prompt.count, reusedTokens: 0, prefillSeconds: 0,
            decodeSeconds: 0, decodedTokens: 0, finishReason: .length)
        var sampler = Sampler(options)
        for token in prompt.suffix(Sampler.penaltyWindow) { sampler.observe(token) }
        // After text, the space of the first token is one between words; after a control token, it is no part of
        // the answer.
        let continues = prompt.last.map { !tokenizer.isSpecial($0) } ?? false
        var detokenizer = StreamingDetokenizer(tokenizer, continues: continues)
        var stops = StopMatcher(options.stop)
        func show(_ text: String) {
            guard !text.isEmpty else { return }
            result.text += text
            onText(text)
        }

        let clock = ContinuousClock()
        do {
            let start = clock.now
            result.reusedTokens = reuse(prompt)
            var logits = try prefill(prompt[result.reusedTokens...], cancellation)
            result.prefillSeconds = (clock.now - start) / .seconds(1)

            let decodeStart = clock.now
            defer { result.decodeSeconds = (clock.now - decodeStart) / .seconds(1) }
            while true {
                guard wn_all_finite(logits.baseAddress, logits.count) else {
                    throw GenerationError.notFinite(position: sequence.length - 1)
                }
                let token = sampler.pick(logits)
                if tokenizer.eosIDs.contains(token) {
                    result.finishReason = .stop
                    break
                }
                result.tokens.append(token)
                let (text, stopped) = stops.append(detokenizer.append(token))
                show(text)
                if stopped {
                    result.finishReason = .stop
                    return result
                }
                guard result.tokens.count < options.maxTokens, sequence.length < sequence.capacity else { break }
                logits = try step([token], cancellation)
                result.decodedTokens += 1
            }
        } catch ModelError.cancelled {
            result.finishReason = .cancelled
        }
        let (text, stopped) = stops.append(detokenizer.finish())
        show(text)
        if !stopped { show(stops.finish()) }
        return result
    }

    /// Keeps the cached tokens that begin the prompt; at least one prompt token is left to compute.
    private func reuse(_ prompt: [TokenID]) -> Int {
        var common = 0
        while common < min(cached.count, prompt.count - 1), cached[common] == prompt[common] { common += 1 }
        // A window's pages may be gone: then all of the prompt is computed again.
        let kept = sequence.truncate(to: common)
        cached.removeLast(cached.count - kept)
        return kept
    }

    private func prefill(
        _ tokens: ArraySlice<TokenID>, _ cancellation: CancellationFlag?
    ) throws -> UnsafeBufferPointer<Float> {
        var rest = tokens
        while rest.count > runner.configuration.chunk {
            try advance(rest.prefix(runner.configuration.chunk), cancellation)
            rest = rest.dropFirst(runner.configuration.chunk)
        }
        return try step(rest, cancellation)
    }

    /// One step, and the logits after its last token.
    private func step(
        _ tokens: ArraySlice<TokenID>, _ cancellation: CancellationFlag?
    ) throws -> UnsafeBufferPointer<Float> {
        try advance(tokens, cancellation)
        return runner.logits(rows: tokens.count - 1..<tokens.count)
    }

    private func advance(_ tokens: ArraySlice<TokenID>, _ cancellation: CancellationFlag?) throws {
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run(cancellation: cancellation)
        cached.append(contentsOf: tokens)
    }
}
