import WinnowNumbers

/// Why training data cannot be used: the file, the line, and what to do.
public enum DataError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty(file: String)
    case tooLittle(tokens: Int, needed: String)
    case notUTF8(file: String, offset: Int)
    case badLine(file: String, line: Int, reason: String)
    case lineTooLong(file: String, line: Int, limit: Int)
    case documentTooLarge(file: String, limit: Int)
    case tooManyTokens(file: String, line: Int, tokens: Int, window: Int)
    case badValidation(share: Double)
    case badCache(file: String, reason: String)

    public var description: String {
        switch self {
        case .empty(let file): "\(file) holds no text"
        case .tooLittle(let tokens, let needed):
            "the data has \(tokens) tokens, too few for \(needed): give more text or a smaller share or window"
        case .notUTF8(let file, let offset):
            "\(file) is not UTF-8 at byte \(offset): convert it, for example with iconv"
        case .badLine(let file, let line, let reason): "\(file), line \(line): \(reason)"
        case .lineTooLong(let file, let line, let limit):
            "\(file), line \(line) is longer than \(Format.bytes(limit)): split the document"
        case .documentTooLarge(let file, let limit):
            "\(file) is larger than \(Format.bytes(limit)), and this tokenizer needs a document whole: "
                + "split it into lines of JSON"
        case .tooManyTokens(let file, let line, let tokens, let window):
            "\(file), line \(line) has \(tokens) tokens, more than a window of \(window): "
                + "use a longer window, shorten it, or allow cutting"
        case .badValidation(let share): "a validation share of \(share); expected 0 to less than 1"
        case .badCache(let file, let reason): "the token cache \(file) is damaged: \(reason)"
        }
    }
}
