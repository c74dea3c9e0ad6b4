/// Something that a page can hold.
public protocol PageElement: Sendable {
    /// Well-formed HTML that needs nothing from outside the page.
    var html: String { get }
}

/// Text on its way into HTML or SVG.
public enum Markup {
    /// Escapes text for element content and quoted attributes; control characters that XML forbids become a
    /// replacement character.
    public static func escape(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            case "\r": break
            case _
            where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                || (0xFFFE...0xFFFF).contains(scalar.value):
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A coordinate with at most two decimals.
    static func number(_ value: Double) -> String {
        var text = Format.fixed(value, 2)
        while text.contains(".") {
            let last = text.last
            guard last == "0" || last == "." else { break }
            text.removeLast()
        }
        return text
    }
}
