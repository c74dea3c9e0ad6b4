import WinnowCore
import WinnowJSON

/// A safetensors file: tensors by name, in the header's order. Nothing is copied.
///
/// As strict as the reference implementation: offsets leave no hole and no overlap; and, beyond it, a key that
/// comes twice is refused.
public struct SafetensorsFile: Sendable {
    public let path: String
    public let names: [String]
    public let metadata: JSONObject
    private let tensors: [String: Tensor]

    /// The reference implementation's limit.
    static let headerLimit: UInt64 = 100_000_000

    public init(_ path: String) throws { try self.init(parsing: Storage.mapping(path), path: path) }

    package init(parsing storage: Storage, path: String) throws(SafetensorsError) {
        let all = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
        guard all.count >= 8 else { throw .tooShort(file: path, bytes: all.count) }
        let length = UInt64(littleEndian: all.loadUnaligned(as: UInt64.self))
        guard length <= SafetensorsFile.headerLimit else {
            throw .headerTooLarge(file: path, bytes: length, limit: SafetensorsFile.headerLimit)
        }
        guard length <= UInt64(all.count - 8) else {
            throw .headerPastEnd(file: path, bytes: length, fileBytes: all.count)
        }
        let text = UnsafeRawBufferPointer(rebasing: all[8..<8 + Int(length)])
        let header = try SafetensorsFile.header(text.assumingMemoryBound(to: UInt8.self), path)
        let dataStart = 8 + Int(length)
        let available = UInt64(all.count - dataStart)
        var names: [String] = []
        var tensors: [String: Tensor] = [:]
        var metadata = JSONObject()
        for (name, value) in header.pairs {
            guard name != "__metadata__" else {
                guard let object = value.object, object.pairs.allSatisfy({ $0.value.string != nil }) else {
                    throw .badEntry(file: path, tensor: name, expected: "texts")
                }
                metadata = object
                continue
            }
            let entry = try SafetensorsEntry(name, value, path: path, available: available)
            names.append(name)
            let slice = StorageSlice(
                storage, offset: dataStart + entry.range.lowerBound, byteCount: entry.range.count)
            tensors[name] = Tensor(dtype: entry.dtype, shape: entry.shape, bytes: slice)
        }
        var end = 0
        for name in names.sorted(by: { tensors[$0]!.order < tensors[$1]!.order }) {
            let slice = tensors[name]!.bytes
            let start = slice.offset - dataStart
            guard start >= end else { throw .overlap(file: path, tensor: name, offset: UInt64(start)) }
            guard start == end else { throw .hole(file: path, offset: UInt64(end)) }
            end = start + slice.byteCount
        }
        guard UInt64(end) == available else { throw .hole(file: path, offset: UInt64(end)) }
        self.path = path
        self.names = names
        self.tensors = tensors
        self.metadata = metadata
    }

    /// nil when the file has no tensor of that name.
    public subscript(name: String) -> Tensor? { tensors[name] }

    private static func header(
        _ text: UnsafeBufferPointer<UInt8>, _ path: String
    ) throws(SafetensorsError) -> JSONObject {
        let value: JSONValue
        do { value = try JSONValue(parsing: text, maximumDepth: 8) } catch {
            throw .badHeader(file: path, error: error)
        }
        guard let header = value.object else { throw .headerNotObject(file: path) }
        if let key = repeatedKey(text, keys: keyCount(value)) {
            throw .duplicateKey(file: path, key: key)
        }
        return header
    }

    private static func keyCount(_ value: JSONValue) -> Int {
        switch value {
        case .object(let object): object.pairs.reduce(object.count) { $0 + keyCount($1.value) }
        case .array(let values): values.reduce(0) { $0 + keyCount($1) }
        default: 0
        }
    }

    /// A key that valid JSON text has twice in one object; nil when the text has as many keys as were kept.
    private static func repeatedKey(_ text: UnsafeBufferPointer<UInt8>, keys: Int) -> String? {
        var colons = 0
        var seen: [Set<String>] = []
        var last = 0..<0
        var position = 0
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "\""):
                let start = position + 1
                position = start
                while text[position] != UInt8(ascii: "\"") {
                    position += text[position] == UInt8(ascii: "\\") ? 2 : 1
                }
                last = start..<position
            case UInt8(ascii: "{"): seen.append([])
            case UInt8(ascii: "}"): seen.removeLast()
            case UInt8(ascii: ":"):
                colons += 1
                let key = String(decoding: text[last], as: UTF8.self)
                if !seen[seen.count - 1].insert(key).inserted { return key }
            default: break
            }
            position += 1
        }
        return colons == keys ? nil : "a key, spelled in two ways,"
    }
}

extension Tensor {
    /// Sorts by place; empty tensors before what begins where they stand.
    fileprivate var order: (Int, Int) { (bytes.offset, bytes.byteCount) }
}

/// A header's entry of a tensor, its numbers checked.
private struct SafetensorsEntry {
    let dtype: DType
    let shape: [Int]
    let range: Range<Int>

    init(_ name: String, _ value: JSONValue, path: String, available: UInt64) throws(SafetensorsError) {
        guard let typeName = value["dtype"]?.string, let shape = value["shape"]?.array,
            let offsets = value["data_offsets"]?.array, offsets.count == 2,
            let begin = offsets[0].wholeNumber, let end = offsets[1].wholeNumber
        else {
            throw .badEntry(file: path, tensor: name, expected: "dtype, shape and two data_offsets")
        }
        guard let dtype = DType(rawValue: typeName) else {
            throw .unknownType(file: path, tensor: name, type: typeName)
        }
        guard shape.count <= 8 else { throw .badShape(file: path, tensor: name) }
        var sizes: [Int] = []
        var bytes = UInt64(dtype.byteCount)
        for size in shape {
            guard let size = size.wholeNumber else { throw .badShape(file: path, tensor: name) }
            let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
            guard !overflow, size <= 1 << 56, product <= 1 << 56 else {
                throw .badShape(file: path, tensor: name)
            }
            bytes = product
            sizes.append(Int(size))
        }
        guard end <= available else {
            throw .outOfRange(file: path, tensor: name, end: end, available: available)
        }
        guard begin <= end else {
            throw .badEntry(file: path, tensor: name, expected: "data_offsets in order")
        }
        guard end - begin == bytes else {
            throw .wrongLength(file: path, tensor: name, bytes: end - begin, expected: bytes)
        }
        self.dtype = dtype
        self.shape = sizes
        range = Int(begin)..<Int(end)
    }
}

extension JSONValue {
    /// A whole number written without fraction or exponent; numbers past 63 bits are clamped upwards.
    fileprivate var wholeNumber: UInt64? {
        switch self {
        case .integer(let value): UInt64(exactly: value)
        case .number(let value): value >= 0x1p63 ? UInt64.max : nil
        default: nil
        }
    }
}
