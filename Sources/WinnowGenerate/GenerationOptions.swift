/// How text is continued; the names are those of the command line and of OpenAI's interface.
public struct GenerationOptions: Sendable, Equatable, Codable {
    public var maxTokens = 256
    /// 0 takes the most likely token.
    public var temperature: Float = 0
    /// Keeps the fewest most likely tokens whose probabilities reach this sum; 1 keeps all.
    public var topP: Float = 1
    /// Keeps this many most likely tokens; 0 keeps all.
    public var topK = 0
    /// Drops tokens less likely than this share of the most likely one; 0 keeps all.
    public var minP: Float = 0
    /// Divides positive logits, and multiplies negative ones, of tokens seen in the last 64; 1 does nothing.
    public var repeatPenalty: Float = 1
    /// Texts that end the generation; they are not part of it.
    public var stop: [String] = []
    public var seed: UInt64 = 0

    public init() {}

    /// - Throws: ``GenerationError/badOption(name:value:expected:)``.
    public func validate() throws(GenerationError) {
        func check(_ good: Bool, _ name: String, _ value: String, _ expected: String) throws(GenerationError)
        {
            guard good else { throw .badOption(name: name, value: value, expected: expected) }
        }
        try check(maxTokens > 0, "max-tokens", "\(maxTokens)", "a positive number")
        try check(temperature >= 0 && temperature.isFinite, "temperature", "\(temperature)", "0 or more")
        try check(topP > 0 && topP <= 1, "top-p", "\(topP)", "more than 0, at most 1")
        try check(topK >= 0, "top-k", "\(topK)", "0 or more")
        try check(minP >= 0 && minP <= 1, "min-p", "\(minP)", "0 to 1")
        try check(repeatPenalty > 0, "repeat-penalty", "\(repeatPenalty)", "more than 0")
        try check(!stop.contains(""), "stop", "''", "a text that is not empty")
    }
}

public enum GenerationError: Error, Equatable, Sendable, CustomStringConvertible {
    case badOption(name: String, value: String, expected: String)
    case notFinite(position: Int)
    /// A draft whose ids stand for other texts than the model's.
    case otherVocabulary(draft: String)

    public var description: String {
        switch self {
        case .badOption(let name, let value, let expected): "\(name) is \(value); expected \(expected)"
        case .notFinite(let position):
            "the model's logits at position \(position) are not finite: its weights are damaged"
        case .otherVocabulary(let draft):
            "\(draft) has another vocabulary than the model: a draft must be made from the same tokens"
        }
    }
}
