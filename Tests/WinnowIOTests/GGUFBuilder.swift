/// Writes GGUF bytes by hand, lies included.
struct GGUFBuilder {
    private(set) var bytes = Array("GGUF".utf8)

    init(version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) {
        number(version)
        number(tensors)
        number(keys)
    }

    mutating func number<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func text(_ text: String) {
        number(UInt64(text.utf8.count))
        bytes += Array(text.utf8)
    }

    mutating func key(_ name: String, type: UInt32) {
        text(name)
        number(type)
    }

    mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32, offset: UInt64) {
        text(name)
        number(UInt32(dimensions.count))
        for dimension in dimensions { number(dimension) }
        number(type)
        number(offset)
    }

    /// Up to the next multiple of 32, then `count` bytes of data.
    mutating func data(_ count: Int) {
        bytes += [UInt8](repeating: 0, count: -bytes.count & 31)
        bytes += [UInt8](repeating: 0, count: count)
    }
}
