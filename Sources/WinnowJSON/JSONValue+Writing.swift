extension JSONValue {
    /// The JSON text of this value.
    ///
    /// - Parameter sortedKeys: object keys in byte order instead of their own.
    /// - Parameter indent: spaces a level; 0 gives one line.
    public func text(sortedKeys: Bool = false, indent: Int = 0) -> String {
        var bytes: [UInt8] = []
        write(into: &bytes, sortedKeys: sortedKeys, indent: indent, level: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(into bytes: inout [UInt8], sortedKeys: Bool, indent: Int, level: Int) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value): bytes.append(contentsOf: (value.isFinite ? "\(value)" : "null").utf8)
        case .string(let value): JSONValue.write(value, into: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONValue.newLine(into: &bytes, indent: indent, level: level + 1)
                value.write(into: &bytes, sortedKeys: sortedKeys, indent: indent, level: level + 1)
            }
            if !values.isEmpty { JSONValue.newLine(into: &bytes, indent: indent, level: level) }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            let keys = sortedKeys ? object.keys.sorted() : object.keys
            for (index, key) in keys.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONValue.newLine(into: &bytes, indent: indent, level: level + 1)
                JSONValue.write(key, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                if indent > 0 { bytes.append(UInt8(ascii: " ")) }
                (object[key] ?? .null).write(
                    into: &bytes, sortedKeys: sortedKeys, indent: indent, level: level + 1)
            }
            if !keys.isEmpty { JSONValue.newLine(into: &bytes, indent: indent, level: level) }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func newLine(into bytes: inout [UInt8], indent: Int, level: Int) {
        guard indent > 0 else { return }
        bytes.append(0x0A)
        bytes.append(contentsOf: repeatElement(0x20, count: indent * level))
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case 0x0A: bytes.append(contentsOf: "\\n".utf8)
            case 0x0D: bytes.append(contentsOf: "\\r".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
