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
    public internal(set) var text = ""
    /// Ids generated, end-of-text tokens not among them.
    public internal(set) var tokens: [TokenID] = []
    public internal(set) var promptTokens: Int
    /// Prompt tokens whose keys and values were already cached.
    public internal(set) var reusedTokens = 0
    public internal(set) var prefillSeconds = 0.0
    public internal(set) var decodeSeconds = 0.0
    /// Tokens that decode steps made: the first comes out of the prefill.
    public internal(set) var decodedTokens = 0
    /// Tokens that a drafter guessed, and those of them that were kept.
    public internal(set) var draftedTokens = 0
    public internal(set) var acceptedTokens = 0
    /// Which neurons wrote the text; nil where nobody asked for fewer.
    public internal(set) var coreNeurons: CoreNeuronReport?
    public internal(set) var finishReason = FinishReason.length

    init(promptTokens: Int) { self.promptTokens = promptTokens }

    public var prefillTokensPerSecond: Double {
        prefillSeconds > 0 ? Double(promptTokens - reusedTokens) / prefillSeconds : 0
    }

    public var decodeTokensPerSecond: Double { decodeSeconds > 0 ? Double(decodedTokens) / decodeSeconds : 0 }

    /// The kept share of what was drafted; nil without a draft.
    public var acceptance: Double? {
        draftedTokens > 0 ? Double(acceptedTokens) / Double(draftedTokens) : nil
    }
}
