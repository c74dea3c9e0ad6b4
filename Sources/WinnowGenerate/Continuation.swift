import WinnowText

/// What becomes of the tokens of one text: sampling, characters that are whole, stop texts, the end.
struct Continuation {
    private(set) var result: GenerationResult
    private(set) var sampler: Sampler
    /// Prompt and text.
    private(set) var ids: [TokenID]
    private let options: GenerationOptions
    private let tokenizer: Tokenizer
    private var detokenizer: StreamingDetokenizer
    private var stops: StopMatcher
    private(set) var isFinished = false

    init(_ prompt: [TokenID], _ options: GenerationOptions, _ tokenizer: Tokenizer) {
        self.options = options
        self.tokenizer = tokenizer
        ids = prompt
        result = GenerationResult(promptTokens: prompt.count)
        sampler = Sampler(options)
        for token in prompt.suffix(Sampler.penaltyWindow) { sampler.observe(token) }
        // After text, the space of the first token is one between words; after a control token, it is no part of
        // the answer.
        let continues = prompt.last.map { !tokenizer.isSpecial($0) } ?? false
        detokenizer = StreamingDetokenizer(tokenizer, continues: continues)
        stops = StopMatcher(options.stop)
    }

    /// Tokens that may still come.
    var room: Int { options.maxTokens - result.tokens.count }

    /// Takes the next token off logits.
    ///
    /// - Parameter draft: what was guessed for it.
    /// - Returns: the token, and the text that is whole with it.
    mutating func take(
        _ logits: UnsafeBufferPointer<Float>, draft: DraftedToken? = nil
    ) -> (token: TokenID, text: String) {
        let token = draft.map { sampler.verify($0, logits) } ?? sampler.pick(logits)
        guard !tokenizer.eosIDs.contains(token) else { return (token, finish(.stop)) }
        result.tokens.append(token)
        ids.append(token)
        let (text, stopped) = stops.append(detokenizer.append(token))
        result.text += text
        if stopped {
            result.finishReason = .stop
            isFinished = true
        } else if room == 0 {
            return (token, text + finish(.length))
        }
        return (token, text)
    }

    /// Ends the text; characters and stop texts that never became whole come out.
    mutating func finish(_ reason: FinishReason) -> String {
        guard !isFinished else { return "" }
        isFinished = true
        result.finishReason = reason
        var (text, stopped) = stops.append(detokenizer.finish())
        if stopped { result.finishReason = .stop } else { text += stops.finish() }
        result.text += text
        return text
    }

    mutating func record(_ change: (inout GenerationResult) -> Void) { change(&result) }
}
