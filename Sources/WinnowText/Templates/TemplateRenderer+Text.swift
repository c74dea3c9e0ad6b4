extension TemplateRenderer {
    /// What `{{ value }}` prints: Python's `str`.
    mutating func text(of value: TemplateValue, line: Int) throws(TemplateError) -> String {
        switch value {
        case .undefined: return ""
        case .string(let text): return text
        default:
            var result = ""
            try write(value, to: &result, line: line)
            return result
        }
    }

    /// Python's `repr`.
    private mutating func write(
        _ value: TemplateValue, to result: inout String, line: Int
    ) throws(TemplateError) {
        try spend(1, line: line)
        switch value {
        case .undefined: result += "Undefined"
        case .none: result += "None"
        case .bool(let value): result += value ? "True" : "False"
        case .integer(let value): result += String(value)
        case .number(let value): result += TemplateRenderer.python(value)
        case .string(let text):
            try spend(text.utf8.count / 16, line: line)
            result += TemplateRenderer.quoted(text)
        case .list(let list):
            try write(list.items, "[", "]", to: &result, line: line)
        case .tuple(let list):
            try write(list.items, "(", list.items.count == 1 ? ",)" : ")", to: &result, line: line)
        case .dictionary(let dictionary):
            result += "{"
            for (index, pair) in dictionary.pairs.enumerated() {
                if index > 0 { result += ", " }
                result += TemplateRenderer.quoted(pair.key) + ": "
                try write(pair.value, to: &result, line: line)
            }
            result += "}"
        case .namespace, .loop: throw .unsupported(construct: "printing \(value.typeName)", line: line)
        }
    }

    private mutating func write(
        _ items: [TemplateValue], _ open: String, _ close: String, to result: inout String, line: Int
    ) throws(TemplateError) {
        result += open
        for (index, item) in items.enumerated() {
            if index > 0 { result += ", " }
            try write(item, to: &result, line: line)
        }
        result += close
    }

    /// Python's spelling of a floating-point number.
    static func python(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        return "\(value)"
    }

    private static func quoted(_ text: String) -> String {
        let usesDouble = text.utf8.contains(UInt8(ascii: "'")) && !text.utf8.contains(UInt8(ascii: "\""))
        let quote: Unicode.Scalar = usesDouble ? "\"" : "'"
        var result = String.UnicodeScalarView()
        result.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", quote:
                result.append("\\")
                result.append(scalar)
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            default:
                if isPrintable(scalar) {
                    result.append(scalar)
                } else {
                    result.append(contentsOf: escape(scalar).unicodeScalars)
                }
            }
        }
        result.append(quote)
        return String(result)
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value >= 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        let width = scalar.value < 0x100 ? 2 : scalar.value < 0x10000 ? 4 : 8
        let letter = width == 2 ? "x" : width == 4 ? "u" : "U"
        return "\\" + letter + String(repeating: "0", count: width - digits.utf8.count) + digits
    }

    // MARK: tojson

    /// `json.dumps(value, ensure_ascii=False, indent=…)`, as transformers' `tojson` does.
    mutating func json(
        _ value: TemplateValue, indent: Int?, sortsKeys: Bool, level: Int = 0, line: Int
    ) throws(TemplateError) -> String {
        try spend(1, line: line)
        switch value {
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .number(let value):
            if value.isNaN { return "NaN" }
            if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
            return TemplateRenderer.python(value)
        case .string(let text):
            try spend(text.utf8.count / 16, line: line)
            return TemplateRenderer.jsonString(text)
        case .list(let list), .tuple(let list):
            var parts: [String] = []
            for item in list.items {
                parts.append(
                    try json(item, indent: indent, sortsKeys: sortsKeys, level: level + 1, line: line))
            }
            return try enclose(parts, "[", "]", indent, level, line)
        case .dictionary(let dictionary):
            var parts: [String] = []
            var pairs = dictionary.pairs
            if sortsKeys { pairs.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
            for (key, value) in pairs {
                let text = try json(value, indent: indent, sortsKeys: sortsKeys, level: level + 1, line: line)
                parts.append(TemplateRenderer.jsonString(key) + ": " + text)
            }
            return try enclose(parts, "{", "}", indent, level, line)
        case .undefined(let name): throw .undefined(name: name, line: line)
        case .namespace, .loop: throw .wrongType(operation: "\(value.typeName) has no JSON", line: line)
        }
    }

    private mutating func enclose(
        _ parts: [String], _ open: String, _ close: String, _ indent: Int?, _ level: Int, _ line: Int
    ) throws(TemplateError) -> String {
        try check(size: parts.reduce(0) { $0 + $1.utf8.count }, line: line)
        if parts.isEmpty { return open + close }
        guard let indent else { return open + parts.joined(separator: ", ") + close }
        func newLine(_ level: Int) -> String { "\n" + String(repeating: " ", count: indent * level) }
        return open + newLine(level + 1) + parts.joined(separator: "," + newLine(level + 1)) + newLine(level) + close
    }

    private static func jsonString(_ text: String) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case 0x08: bytes.append(contentsOf: "\\b".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0x0A: bytes.append(contentsOf: "\\n".utf8)
            case 0x0C: bytes.append(contentsOf: "\\f".utf8)
            case 0x0D: bytes.append(contentsOf: "\\r".utf8)
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                bytes.append(contentsOf: ("\\u00" + (digits.utf8.count < 2 ? "0" : "") + digits).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return String(decoding: bytes, as: UTF8.self)
    }
}
