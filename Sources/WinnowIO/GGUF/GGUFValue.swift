/// A metadata value of a GGUF file; arrays stay in the file until asked for.
package enum GGUFValue: Sendable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    case string(String)
    case array(GGUFArray)

    package var integer: Int? {
        switch self {
        case .unsigned(let value): Int(exactly: value)
        case .signed(let value): Int(exactly: value)
        default: nil
        }
    }

    package var number: Double? {
        switch self {
        case .float(let value): value
        case .unsigned(let value): Double(value)
        case .signed(let value): Double(value)
        default: nil
        }
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }

    /// The value in an error message: short.
    var summary: String {
        switch self {
        case .unsigned(let value): "\(value)"
        case .signed(let value): "\(value)"
        case .float(let value): "\(value)"
        case .bool(let value): "\(value)"
        case .string(let value): "'\(value.prefix(40))'"
        case .array(let value): "an array of \(value.count)"
        }
    }
}

/// Where an array's elements stand; its bounds were checked when the file was read.
package struct GGUFArray: Sendable {
    package let type: GGUFValueType
    package let count: Int
    let offset: Int
}

/// The numbers that GGUF gives to the types of metadata.
package enum GGUFValueType: UInt32, Sendable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// Bytes a value takes; nil where that differs from value to value.
    var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    /// The least that a value can take.
    var leastByteCount: Int {
        switch self {
        case .string: 8
        case .array: 12
        default: byteCount ?? 1
        }
    }
}
