/// Reads the fields of one protobuf message, front to back; nothing is copied and no length is believed.
///
/// - Source: the wire format of Protocol Buffers: a key of (number << 3 | type), then a varint, 4 or 8 bytes, or
///   a length and as many bytes.
struct ProtobufReader {
    enum Value {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64(UInt64)
        case bytes(UnsafeBufferPointer<UInt8>)

        var bytes: UnsafeBufferPointer<UInt8>? { if case .bytes(let bytes) = self { bytes } else { nil } }
        var bool: Bool? { if case .varint(let value) = self { value != 0 } else { nil } }
        var float: Float? { if case .fixed32(let bits) = self { Float(bitPattern: bits) } else { nil } }

        /// An `int32` or an enumeration; negative numbers are written with ten bytes.
        var integer: Int? {
            guard case .varint(let value) = self else { return nil }
            return Int(Int32(truncatingIfNeeded: value))
        }
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    /// What the message is, for errors.
    private let name: String

    init(_ bytes: UnsafeBufferPointer<UInt8>, name: String) {
        self.bytes = bytes
        self.name = name
    }

    /// The next field's number and value, nil at the end.
    mutating func next() throws(TokenizerError) -> (field: Int, value: Value)? {
        guard position < bytes.count else { return nil }
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw fail("field number \(key >> 3)") }
        let field = Int(key >> 3)
        switch key & 7 {
        case 0: return (field, .varint(try varint()))
        case 1: return (field, .fixed64(try fixed(8)))
        case 2:
            let count = try varint()
            guard count <= UInt64(bytes.count - position) else {
                throw fail("field \(field) of \(count) bytes, where \(bytes.count - position) are left")
            }
            let start = position
            position += Int(count)
            return (field, .bytes(UnsafeBufferPointer(rebasing: bytes[start..<position])))
        case 5: return (field, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        case let type: throw fail("field \(field) of wire type \(type)")
        }
    }

    private func fail(_ reason: String) -> TokenizerError {
        .malformed(name, reason: "\(reason) before byte \(position)")
    }

    private mutating func varint() throws(TokenizerError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 70, by: 7) {
            guard position < bytes.count else { throw fail("a number that does not end") }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << UInt64(min(shift, 63))
            if byte < 0x80 { return value }
        }
        throw fail("a number of more than ten bytes")
    }

    private mutating func fixed(_ count: Int) throws(TokenizerError) -> UInt64 {
        guard bytes.count - position >= count else { throw fail("a number that does not end") }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += count
        return value
    }
}
