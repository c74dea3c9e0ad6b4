/// Why a tokenizer cannot be made: what is wrong, where, and what to do.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A key that must be there is not, or is not of the expected type.
    case missingKey(String, expected: String)
    /// A kind of tokenizer model that is not known.
    case unsupportedModel(String)
    /// A pre-tokenizer that is not in ``PreTokenizer``'s rows.
    case unsupportedPreTokenizer(String)
    /// Another part of tokenizer.json that would change ids and that is not implemented.
    case unsupportedFeature(key: String, value: String)
    case emptyVocabulary
    case duplicateToken(String, first: Int, second: Int)
    case idOutOfRange(name: String, id: Int, count: Int)
    /// Two tokens claim the same id.
    case duplicateID(Int, first: String, second: String)
    case kindCount(kinds: Int, tokens: Int)
    case unknownKind(Int, token: Int)
    case missingMerges
    /// A merge that is not two non-empty pieces.
    case malformedMerge(index: Int, text: String)
    case mergeOfUnknownToken(index: Int, text: String, missing: String)
    /// SentencePiece models need a score per token.
    case scoreCount(scores: Int, tokens: Int)
    case badScore(token: Int)
    /// Tokens so long that finding their merges takes longer than any vocabulary needs.
    case pieceTooLong(token: Int, bytes: Int)
    /// A token that the model has no row for.
    case vocabularyMismatch(tokens: Int, rows: Int, token: String)
    /// A binary part of a tokenizer that does not hold together.
    case malformed(String, reason: String)

    public var description: String {
        switch self {
        case .missingKey(let key, let expected):
            "the tokenizer has no \(key) (expected \(expected)); get the model's files again"
        case .unsupportedModel(let name):
            "tokenizer model '\(name)' is not supported; known are \(TokenizerModel.knownNames)"
        case .unsupportedPreTokenizer(let name):
            "pre-tokenizer '\(name)' is not supported; known are \(PreTokenizer.knownNames)"
        case .unsupportedFeature(let key, let value):
            "\(key) is '\(value)', which is not supported and would change token ids"
        case .emptyVocabulary:
            "the tokenizer has no tokens; get the model's files again"
        case .duplicateToken(let token, let first, let second):
            "token '\(token)' stands twice in the vocabulary, as ids \(first) and \(second)"
        case .idOutOfRange(let name, let id, let count):
            "\(name) is \(id), but the vocabulary has ids 0 to \(count - 1)"
        case .duplicateID(let id, let first, let second):
            "tokens '\(first)' and '\(second)' both have id \(id)"
        case .kindCount(let kinds, let tokens):
            "there are \(kinds) token types for \(tokens) tokens; both lists must have the same length"
        case .unknownKind(let kind, let token):
            "token \(token) has type \(kind); known types are 1 to 6"
        case .missingMerges:
            "the tokenizer has no merges, which its kind needs; get the model's files again"
        case .malformedMerge(let index, let text):
            "merge \(index) is '\(text)'; a merge is two pieces with one space between"
        case .mergeOfUnknownToken(let index, let text, let missing):
            "merge \(index), '\(text)', needs the token '\(missing)', which the vocabulary does not have"
        case .scoreCount(let scores, let tokens):
            "there are \(scores) scores for \(tokens) tokens; this kind of tokenizer needs one for each"
        case .pieceTooLong(let token, let bytes):
            "token \(token) has \(bytes) bytes: too long, with those before it, to look for merges; "
                + "get the model's files again"
        case .badScore(let token): "the score of token \(token) is not a number"
        case .vocabularyMismatch(let tokens, let rows, let token):
            "the tokenizer has \(tokens) tokens, the model rows for \(rows), and none for '\(token)'; "
                + "they do not belong together"
        case .malformed(let part, let reason): "\(part) is damaged: \(reason); get the model's files again"
        }
    }
}
