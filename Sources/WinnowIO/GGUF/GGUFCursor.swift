import WinnowCore

/// Reads little-endian numbers and texts one after another, never past the end.
struct GGUFCursor {
    let bytes: UnsafeRawBufferPointer
    let file: String
    private(set) var position: Int

    init(_ bytes: UnsafeRawBufferPointer, file: String, position: Int = 0) {
        self.bytes = bytes
        self.file = file
        self.position = position
    }

    var remaining: Int { bytes.count - position }

    mutating func read<Value: FixedWidthInteger>(
        _ type: Value.Type, _ reading: @autoclosure () -> String
    ) throws(GGUFError) -> Value {
        guard remaining >= MemoryLayout<Value>.size else {
            throw .truncated(file: file, reading: reading(), offset: bytes.count)
        }
        let value = bytes.loadUnaligned(fromByteOffset: position, as: Value.self)
        position += MemoryLayout<Value>.size
        return Value(littleEndian: value)
    }

    /// A number of things that take at least `least` bytes each.
    mutating func count(_ of: @autoclosure () -> String, least: Int) throws(GGUFError) -> Int {
        let count = try read(UInt64.self, "the number of \(of())")
        guard count <= UInt64(remaining / least) else {
            throw .impossibleCount(file: file, of: of(), count: count)
        }
        return Int(count)
    }

    mutating func text(_ reading: @autoclosure () -> String) throws(GGUFError) -> String {
        let length = try textLength(reading())
        let start = position
        position += length
        guard let text = String(validating: bytes[start..<position], as: UTF8.self) else {
            throw .invalidText(file: file, reading: reading(), offset: start)
        }
        return text
    }

    mutating func skipText(_ reading: @autoclosure () -> String) throws(GGUFError) {
        position += try textLength(reading())
    }

    mutating func skip(_ count: Int) { position += count }

    private mutating func textLength(_ reading: @autoclosure () -> String) throws(GGUFError) -> Int {
        let length = try read(UInt64.self, reading())
        guard length <= UInt64(remaining) else {
            throw .truncated(file: file, reading: reading(), offset: bytes.count)
        }
        return Int(length)
    }

    mutating func value(_ type: GGUFValueType, key: String, depth: Int = 0) throws(GGUFError) -> GGUFValue {
        let what = "metadata '\(key)'"
        switch type {
        case .uint8: return .unsigned(UInt64(try read(UInt8.self, what)))
        case .uint16: return .unsigned(UInt64(try read(UInt16.self, what)))
        case .uint32: return .unsigned(UInt64(try read(UInt32.self, what)))
        case .uint64: return .unsigned(try read(UInt64.self, what))
        case .int8: return .signed(Int64(try read(Int8.self, what)))
        case .int16: return .signed(Int64(try read(Int16.self, what)))
        case .int32: return .signed(Int64(try read(Int32.self, what)))
        case .int64: return .signed(try read(Int64.self, what))
        case .float32: return .float(Double(Float(bitPattern: try read(UInt32.self, what))))
        case .float64: return .float(Double(bitPattern: try read(UInt64.self, what)))
        case .bool: return .bool(try read(UInt8.self, what) != 0)
        case .string: return .string(try text(what))
        case .array: return .array(try array(key: key, depth: depth))
        }
    }

    /// Passes over an array, remembering where its elements are.
    private mutating func array(key: String, depth: Int) throws(GGUFError) -> GGUFArray {
        guard depth < 4 else { throw .nestedTooDeep(file: file, key: key) }
        let type = try valueType(key: key)
        let count = try count("elements in metadata '\(key)'", least: type.leastByteCount)
        let array = GGUFArray(type: type, count: count, offset: position)
        if let size = type.byteCount {
            skip(size * count)
        } else if type == .string {
            for _ in 0..<count { try skipText("metadata '\(key)'") }
        } else {
            for _ in 0..<count { _ = try self.array(key: key, depth: depth + 1) }
        }
        return array
    }

    mutating func valueType(key: String) throws(GGUFError) -> GGUFValueType {
        let code = try read(UInt32.self, "metadata '\(key)'")
        guard let type = GGUFValueType(rawValue: code) else {
            throw .unknownValueType(file: file, key: key, type: code)
        }
        return type
    }
}
