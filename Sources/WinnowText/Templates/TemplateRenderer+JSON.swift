/// The arguments of `tojson`, which are those of Python's `json.dumps`.
struct TemplateJSONStyle {
    var indent: Int?
    var isASCII = false
    var sortsKeys = false
    var itemSeparator = ", "
    var keySeparator = ": "

    init(_ inputs: TemplateInputs, origin: TemplateOrigin) throws(TemplateError) {
        isASCII = inputs.value(0, "ensure_ascii")?.isTrue ?? false
        switch inputs.value(1, "indent") {
        case nil, .some(.none): break
        case let value?:
            guard let width = value.integer, (0...64).contains(width) else {
                throw .wrongType(operation: "tojson takes an indent of 0 to 64", origin: origin)
            }
            indent = width
            itemSeparator = ","
        }
        switch inputs.value(2, "separators") {
        case nil, .some(.none): break
        case .tuple(let list)?, .list(let list)?:
            guard list.items.count == 2, case .string(let item) = list.items[0],
                case .string(let key) = list.items[1]
            else { fallthrough }
            (itemSeparator, keySeparator) = (item, key)
        default: throw .wrongType(operation: "tojson takes two texts as separators", origin: origin)
        }
        sortsKeys = inputs.value(3, "sort_keys")?.isTrue ?? false
        let known = ["ensure_ascii", "indent", "separators", "sort_keys"]
        if let other = inputs.named.keys.first(where: { !known.contains($0.text) }) {
            throw .unsupported(construct: "the argument '\(other.text)' of tojson", origin: origin)
        }
    }
}

extension TemplateRenderer {
    /// `json.dumps(value, ensure_ascii=False, …)`, as transformers' `tojson` does.
    mutating func json(
        _ value: TemplateValue, _ style: TemplateJSONStyle, level: Int = 0, origin: TemplateOrigin
    ) throws(TemplateError) -> String {
        try spend(1, origin: origin)
        switch value {
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .number(let value):
            if value.isNaN { return "NaN" }
            if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
            return TemplateRenderer.python(value)
        case .string(let text):
            try spend(text.utf8.count / 16, origin: origin)
            return TemplateRenderer.jsonString(text, style)
        case .list(let list), .tuple(let list):
            var parts: [String] = []
            for item in list.items {
                parts.append(try json(item, style, level: level + 1, origin: origin))
            }
            return try enclose(parts, "[", "]", style, level, origin)
        case .dictionary(let dictionary):
            var parts: [String] = []
            var pairs = dictionary.pairs
            if style.sortsKeys {
                var strings = 0
                for case .string in dictionary.keys { strings += 1 }
                guard strings == 0 || strings == pairs.count else {
                    throw .wrongType(operation: "keys of several types have no order", origin: origin)
                }
                pairs.sort { left, right in
                    if case .integer(let a) = left.key, case .integer(let b) = right.key { return a < b }
                    return left.key.text.utf8.lexicographicallyPrecedes(right.key.text.utf8)
                }
            }
            for (key, value) in pairs {
                let text = try json(value, style, level: level + 1, origin: origin)
                parts.append(TemplateRenderer.jsonString(key.text, style) + style.keySeparator + text)
            }
            return try enclose(parts, "{", "}", style, level, origin)
        case .undefined(let name): throw .undefined(name: name, origin: origin)
        case .namespace, .loop, .macro, .function, .generator:
            throw .wrongType(operation: "\(value.typeName) has no JSON", origin: origin)
        }
    }

    private mutating func enclose(
        _ parts: [String], _ open: String, _ close: String, _ style: TemplateJSONStyle, _ level: Int,
        _ origin: TemplateOrigin
    ) throws(TemplateError) -> String {
        try check(
            size: parts.reduce(0) { $0 + $1.utf8.count + style.itemSeparator.utf8.count }, origin: origin)
        if parts.isEmpty { return open + close }
        guard let indent = style.indent else {
            return open + parts.joined(separator: style.itemSeparator) + close
        }
        func newLine(_ level: Int) -> String { "\n" + String(repeating: " ", count: indent * level) }
        return open + newLine(level + 1) + parts.joined(separator: style.itemSeparator + newLine(level + 1))
            + newLine(level) + close
    }

    private static func jsonString(_ text: String, _ style: TemplateJSONStyle) -> String {
        func escape(_ unit: UInt16) -> String {
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        }
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
            case 0..<0x20: bytes.append(contentsOf: escape(UInt16(byte)).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        let result = String(decoding: bytes, as: UTF8.self)
        guard style.isASCII, bytes.contains(where: { $0 >= 0x7F }) else { return result }
        return result.utf16.map { $0 < 0x7F ? String(UnicodeScalar(UInt8($0))) : escape($0) }.joined()
    }
}
