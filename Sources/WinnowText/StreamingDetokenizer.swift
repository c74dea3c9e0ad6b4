/// Turns ids into text one at a time and never gives out part of a character.
///
/// The pieces joined are what ``Tokenizer/decode(_:skipSpecial:)`` makes of all ids: bytes that cannot become
/// UTF-8 any more come out as U+FFFD as soon as that is certain.
public struct StreamingDetokenizer: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecial: Bool
    /// The start of a scalar whose rest has not come.
    private var pending: [UInt8] = []

    /// Whether a space at the very start is still to be left out.
    private var stripsSpace: Bool

    /// - Parameter continues: the ids go on after others, so that a space at their start belongs to the text.
    public init(_ tokenizer: Tokenizer, skipSpecial: Bool = false, continues: Bool = false) {
        self.tokenizer = tokenizer
        skipsSpecial = skipSpecial
        stripsSpace = tokenizer.definition.stripsFirstSpace && !continues
    }

    /// The text that is complete with this token; often empty within a character.
    public mutating func append(_ id: TokenID) -> String {
        if skipsSpecial, tokenizer.isSpecial(id) { return "" }
        tokenizer.append(id, to: &pending)
        if stripsSpace, let first = pending.first {
            if first == 0x20 { pending.removeFirst() }
            stripsSpace = false
        }
        let complete = pending.count - StreamingDetokenizer.incompleteSuffix(pending)
        guard complete > 0 else { return "" }
        let text = String(decoding: pending[..<complete], as: UTF8.self)
        pending.removeFirst(complete)
        return text
    }

    /// What is left at the end: U+FFFD when the last character never became whole.
    public mutating func finish() -> String {
        defer { pending.removeAll() }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many last bytes are the well-formed start of a scalar that is not complete.
    private static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let width = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1
            guard lead <= 0xF4, width > length else { return 0 }
            guard length > 1 else { return 1 }
            // The second byte of some leads has a narrower range (no surrogates, overlong forms, or beyond U+10FFFF).
            let second = bytes[bytes.count - length + 1]
            switch lead {
            case 0xE0: return second >= 0xA0 ? length : 0
            case 0xED: return second < 0xA0 ? length : 0
            case 0xF0: return second >= 0x90 ? length : 0
            case 0xF4: return second < 0x90 ? length : 0
            default: return length
            }
        }
        return 0
    }
}
