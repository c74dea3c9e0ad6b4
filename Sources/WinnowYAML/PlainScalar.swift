import WinnowJSON

/// What a scalar without quotes means: YAML 1.2, section 10.3.2 (the core schema), without the numbers that are
/// not finite, which stay words.
public enum PlainScalar {
    public static func value(of text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let integer = integer(text) { return .integer(integer) }
        if isNumber(text), let number = Double(text), number.isFinite { return .number(number) }
        return .string(text)
    }

    private static func integer(_ text: String) -> Int64? {
        if text.hasPrefix("0x") { return unsigned(text.dropFirst(2), radix: 16) }
        if text.hasPrefix("0o") { return unsigned(text.dropFirst(2), radix: 8) }
        return Int64(text)
    }

    private static func unsigned(_ digits: Substring, radix: Int) -> Int64? {
        guard let first = digits.first, first != "+", first != "-" else { return nil }
        return Int64(digits, radix: radix)
    }

    /// `[-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?`: `Double` alone would take more.
    private static func isNumber(_ text: String) -> Bool {
        var rest = Substring(text)
        if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
        let whole = takeDigits(&rest)
        var fraction = 0
        if rest.first == "." {
            rest.removeFirst()
            fraction = takeDigits(&rest)
        }
        guard whole + fraction > 0 else { return false }
        guard let mark = rest.first, mark == "e" || mark == "E" else { return rest.isEmpty }
        rest.removeFirst()
        if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
        return takeDigits(&rest) > 0 && rest.isEmpty
    }

    private static func takeDigits(_ rest: inout Substring) -> Int {
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest.removeFirst(digits.count)
        return digits.count
    }
}
