extension TemplateRenderer {
    /// What `{{ value }}` prints: Python's `str`.
    mutating func text(of value: TemplateValue, origin: TemplateOrigin) throws(TemplateError) -> String {
        switch value {
        case .undefined: return ""
        case .string(let text): return text
        default:
            var result = ""
            try write(value, to: &result, origin: origin)
            return result
        }
    }

    /// Python's `repr`.
    private mutating func write(
        _ value: TemplateValue, to result: inout String, origin: TemplateOrigin
    ) throws(TemplateError) {
        try spend(1, origin: origin)
        switch value {
        case .undefined: result += "Undefined"
        case .none: result += "None"
        case .bool(let value): result += value ? "True" : "False"
        case .integer(let value): result += String(value)
        case .number(let value): result += TemplateRenderer.python(value)
        case .string(let text):
            try spend(text.utf8.count / 16, origin: origin)
            result += TemplateRenderer.quoted(text)
        case .list(let list):
            try write(list.items, "[", "]", to: &result, origin: origin)
        case .tuple(let list):
            try write(list.items, "(", list.items.count == 1 ? ",)" : ")", to: &result, origin: origin)
        case .dictionary(let dictionary):
            result += "{"
            for (index, pair) in dictionary.pairs.enumerated() {
                if index > 0 { result += ", " }
                try write(pair.key.value, to: &result, origin: origin)
                result += ": "
                try write(pair.value, to: &result, origin: origin)
            }
            result += "}"
        case .namespace, .loop, .macro, .function, .generator:
            throw .unsupported(construct: "printing \(value.typeName)", origin: origin)
        }
    }

    private mutating func write(
        _ items: [TemplateValue], _ open: String, _ close: String, to result: inout String,
        origin: TemplateOrigin
    ) throws(TemplateError) {
        result += open
        for (index, item) in items.enumerated() {
            if index > 0 { result += ", " }
            try write(item, to: &result, origin: origin)
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
}
