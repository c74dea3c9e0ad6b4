/// Why a text is not JSON, with the byte where reading stopped.
public enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    case unexpected(found: String, offset: Int)
    case unexpectedEnd
    case tooDeep(limit: Int, offset: Int)
    case invalidUTF8(offset: Int)
    case invalidEscape(offset: Int)
    case invalidNumber(offset: Int)

    public var description: String {
        switch self {
        case .unexpected(let found, let offset): "unexpected \(found) at byte \(offset)"
        case .unexpectedEnd: "the text ends too early"
        case .tooDeep(let limit, let offset): "more than \(limit) levels of nesting at byte \(offset)"
        case .invalidUTF8(let offset): "text that is not UTF-8 at byte \(offset)"
        case .invalidEscape(let offset): "an escape that JSON does not have at byte \(offset)"
        case .invalidNumber(let offset): "a malformed number at byte \(offset)"
        }
    }
}

extension JSONValue {
    /// Parses one JSON text (RFC 8259), nothing after it but white space.
    ///
    /// - Parameter maximumDepth: levels of arrays and objects allowed, so that hostile text cannot end the stack.
    /// - Throws: ``JSONError``.
    public init(parsing bytes: [UInt8], maximumDepth: Int = 128) throws(JSONError) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(JSONError) in
            try JSONValue(parsing: bytes, maximumDepth: maximumDepth)
        }
    }

    public init(parsing text: String, maximumDepth: Int = 128) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }

    public init(parsing bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int = 128) throws(JSONError) {
        var reader = JSONReader(bytes: bytes, limit: maximumDepth)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.position = 3 }
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        if let byte = reader.peek { throw .unexpected(found: describe(byte), offset: reader.position) }
        self = value
    }
}

private func describe(_ byte: UInt8) -> String {
    byte >= 0x20 && byte < 0x7F ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
}

private struct JSONReader {
    let bytes: UnsafeBufferPointer<UInt8>
    let limit: Int
    var position = 0

    init(bytes: UnsafeBufferPointer<UInt8>, limit: Int) {
        self.bytes = bytes
        self.limit = limit
    }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipSpace()
        guard let byte = peek else { throw .unexpectedEnd }
        if depth >= limit, byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
            throw .tooDeep(limit: limit, offset: position)
        }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw .unexpected(found: describe(byte), offset: position)
        }
    }

    mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for index in 0..<text.utf8CodeUnitCount {
            guard let byte = peek else { throw .unexpectedEnd }
            guard byte == text.utf8Start[index] else {
                throw .unexpected(found: describe(byte), offset: position)
            }
            position += 1
        }
        return value
    }

    mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var result = JSONObject()
        skipSpace()
        if peek == UInt8(ascii: "}") {
            position += 1
            return .object(result)
        }
        while true {
            skipSpace()
            guard let byte = peek else { throw .unexpectedEnd }
            guard byte == UInt8(ascii: "\"") else { throw .unexpected(found: describe(byte), offset: position) }
            let key = try string()
            skipSpace()
            guard let colon = peek else { throw .unexpectedEnd }
            guard colon == UInt8(ascii: ":") else { throw .unexpected(found: describe(colon), offset: position) }
            position += 1
            result[key] = try value(depth: depth + 1)
            if try closes(UInt8(ascii: "}")) { return .object(result) }
        }
    }

    mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var result: [JSONValue] = []
        skipSpace()
        if peek == UInt8(ascii: "]") {
            position += 1
            return .array(result)
        }
        while true {
            result.append(try value(depth: depth + 1))
            if try closes(UInt8(ascii: "]")) { return .array(result) }
        }
    }

    /// Reads a comma (false) or the closing byte (true).
    mutating func closes(_ close: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard let byte = peek else { throw .unexpectedEnd }
        guard byte == close || byte == UInt8(ascii: ",") else {
            throw .unexpected(found: describe(byte), offset: position)
        }
        position += 1
        return byte == close
    }

    mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
            if bytes[position] < 0x20 { throw .unexpected(found: describe(bytes[position]), offset: position) }
            position += 1
        }
        guard position < bytes.count else { throw .unexpectedEnd }
        if bytes[position] == UInt8(ascii: "\"") {
            position += 1
            return try text(bytes[start..<(position - 1)], at: start)
        }
        var decoded = Array(bytes[start..<position])
        while true {
            guard let byte = peek else { throw .unexpectedEnd }
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try decoded.withUnsafeBufferPointer { buffer throws(JSONError) in
                try text(buffer[...], at: start)
            }
            case UInt8(ascii: "\\"): try escape(into: &decoded)
            case 0..<0x20: throw .unexpected(found: describe(byte), offset: position - 1)
            default: decoded.append(byte)
            }
        }
    }

    func text(_ slice: Slice<UnsafeBufferPointer<UInt8>>, at offset: Int) throws(JSONError) -> String {
        let bytes = UnsafeBufferPointer(rebasing: slice)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalidUTF8(offset: offset) }
        return text
    }

    mutating func escape(into decoded: inout [UInt8]) throws(JSONError) {
        guard let byte = peek else { throw .unexpectedEnd }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try hexadecimal()
            if (0xD800..<0xDC00).contains(unit), position + 1 < bytes.count,
                bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
            {
                let mark = position
                position += 2
                let low = try hexadecimal()
                if (0xDC00..<0xE000).contains(low) {
                    unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
                } else {
                    position = mark
                }
            }
            // A lone surrogate has no UTF-8: it becomes the replacement character.
            let scalar = UnicodeScalar(unit) ?? "\u{FFFD}"
            decoded.append(contentsOf: UTF8.encode(scalar)!)
        default: throw .invalidEscape(offset: position - 1)
        }
    }

    mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek else { throw .unexpectedEnd }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw .invalidEscape(offset: position)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
        if peek == UInt8(ascii: "-") { position += 1 }
        guard isDigit(peek) else { throw .invalidNumber(offset: start) }
        if peek == UInt8(ascii: "0") {
            position += 1
            if isDigit(peek) { throw .invalidNumber(offset: start) }
        }
        while isDigit(peek) { position += 1 }
        if peek == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            guard isDigit(peek) else { throw .invalidNumber(offset: start) }
            while isDigit(peek) { position += 1 }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            guard isDigit(peek) else { throw .invalidNumber(offset: start) }
            while isDigit(peek) { position += 1 }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text) else { throw .invalidNumber(offset: start) }
        return .number(value)
    }
}
