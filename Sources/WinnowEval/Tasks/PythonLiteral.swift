import WinnowJSON

/// Reads Python's lists, texts and numbers, as a template prints them.
struct PythonLiteral {
    private let scalars: [Unicode.Scalar]
    private var position = 0

    /// - Returns: nil for anything else.
    static func value(of text: String) -> JSONValue? {
        var reader = PythonLiteral(scalars: Array(text.unicodeScalars))
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skipSpace()
        return reader.position == reader.scalars.count ? value : nil
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func skipSpace() {
        while let next, next == " " || next == "\n" || next == "\t" || next == "\r" { position += 1 }
    }

    private mutating func value(depth: Int) -> JSONValue? {
        skipSpace()
        guard depth < 16, let next else { return nil }
        switch next {
        case "[", "(": return list(closing: next == "[" ? "]" : ")", depth)
        case "'", "\"": return string(next)
        default:
            let start = position
            while let next = self.next, !",]) \n".unicodeScalars.contains(next) { position += 1 }
            let word = String(String.UnicodeScalarView(scalars[start..<position]))
            switch word {
            case "None": return .null
            case "True": return .bool(true)
            case "False": return .bool(false)
            default: return Int64(word).map(JSONValue.integer) ?? Double(word).map(JSONValue.number)
            }
        }
    }

    private mutating func list(closing: Unicode.Scalar, _ depth: Int) -> JSONValue? {
        position += 1
        var items: [JSONValue] = []
        while true {
            skipSpace()
            if next == closing {
                position += 1
                return .array(items)
            }
            guard let item = value(depth: depth + 1) else { return nil }
            items.append(item)
            skipSpace()
            if next == "," { position += 1 } else if next != closing { return nil }
        }
    }

    private mutating func string(_ quote: Unicode.Scalar) -> JSONValue? {
        position += 1
        var text = String.UnicodeScalarView()
        while let next {
            position += 1
            if next == quote { return .string(String(text)) }
            guard next == "\\" else {
                text.append(next)
                continue
            }
            guard let escaped = self.next else { return nil }
            position += 1
            switch escaped {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "r": text.append("\r")
            case "\\", "'", "\"": text.append(escaped)
            case "x", "u", "U":
                let count = escaped == "x" ? 2 : escaped == "u" ? 4 : 8
                guard position + count <= scalars.count,
                    let code = UInt32(
                        String(String.UnicodeScalarView(scalars[position..<position + count])), radix: 16),
                    let scalar = Unicode.Scalar(code)
                else { return nil }
                text.append(scalar)
                position += count
            default: return nil
            }
        }
        return nil
    }
}
