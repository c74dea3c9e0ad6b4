import WinnowCore

/// A GGUF file (versions 2 and 3): metadata and where each tensor's bytes are. Nothing is copied.
///
/// Every number of the file is checked against its size before it is used.
package struct GGUFFile: Sendable {
    package struct Tensor: Sendable {
        package let name: String
        let type: GGMLType
        /// Outermost first, as everywhere in Winnow; the file has them the other way round.
        package let shape: [Int]
        package let bytes: StorageSlice
    }

    package let path: String
    package let version: UInt32
    package let alignment: Int
    package let keys: [String]
    package private(set) var tensors: [Tensor]
    private let metadata: [String: GGUFValue]
    private let storage: Storage

    package init(_ path: String) throws { try self.init(parsing: Storage.mapping(path), path: path) }

    package init(parsing storage: Storage, path: String) throws(GGUFError) {
        let all = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
        var cursor = GGUFCursor(all, file: path)
        guard all.count >= 4, all.prefix(4).elementsEqual("GGUF".utf8) else { throw .notGGUF(file: path) }
        cursor.skip(4)
        let version = try cursor.read(UInt32.self, "the version")
        guard version == 2 || version == 3 else {
            if version.byteSwapped == 2 || version.byteSwapped == 3 { throw .bigEndian(file: path) }
            throw .unsupportedVersion(file: path, version: version)
        }
        let tensorCount = try cursor.count("tensors", least: 24)
        let keyCount = try cursor.count("metadata values", least: 13)
        var keys: [String] = []
        var metadata = [String: GGUFValue](minimumCapacity: min(keyCount, 1 << 12))
        for _ in 0..<keyCount {
            let key = try cursor.text("a metadata key")
            let type = try cursor.valueType(key: key)
            let value = try cursor.value(type, key: key)
            guard metadata.updateValue(value, forKey: key) == nil else {
                throw .duplicateKey(file: path, key: key)
            }
            keys.append(key)
        }
        var alignment = 32
        if let value = metadata["general.alignment"] {
            guard let wanted = value.integer, wanted >= 8, wanted <= 1 << 16, wanted & (wanted - 1) == 0
            else {
                throw .badAlignment(file: path, alignment: UInt64(clamping: value.integer ?? 0))
            }
            alignment = wanted
        }
        var entries: [Entry] = []
        var names = Set<String>()
        for _ in 0..<tensorCount {
            let entry = try Entry(&cursor)
            guard names.insert(entry.name).inserted else {
                throw .duplicateTensor(file: path, tensor: entry.name)
            }
            entries.append(entry)
        }
        let dataStart = (cursor.position + alignment - 1) / alignment * alignment
        let available = UInt64(max(all.count - dataStart, 0))
        tensors = try entries.map { entry throws(GGUFError) in
            try entry.tensor(storage, dataStart: dataStart, available: available, alignment: alignment, path)
        }
        let ordered = tensors.sorted { $0.bytes.offset < $1.bytes.offset }
        for (first, second) in zip(ordered, ordered.dropFirst())
        where first.bytes.offset + first.bytes.byteCount > second.bytes.offset {
            throw .overlap(file: path, tensor: second.name, other: first.name)
        }
        self.path = path
        self.version = version
        self.alignment = alignment
        self.keys = keys
        self.metadata = metadata
        self.storage = storage
    }

    package subscript(key: String) -> GGUFValue? { metadata[key] }

    /// The same metadata with the tensors of all parts.
    func holding(_ tensors: [Tensor]) -> GGUFFile {
        var file = self
        file.tensors = tensors
        return file
    }

    /// The texts of an array; nil when the value is not an array of texts.
    package func strings(_ key: String) throws(GGUFError) -> [String]? {
        guard let array = metadata[key]?.array, array.type == .string else { return nil }
        var cursor = self.cursor(at: array.offset)
        var texts: [String] = []
        texts.reserveCapacity(array.count)
        for _ in 0..<array.count { texts.append(try cursor.text("metadata '\(key)'")) }
        return texts
    }

    /// The whole numbers of an array; nil when the value is not an array of whole numbers that fit.
    package func integers(_ key: String) throws(GGUFError) -> [Int]? {
        guard let array = metadata[key]?.array else { return nil }
        var cursor = self.cursor(at: array.offset)
        var values: [Int] = []
        values.reserveCapacity(array.count)
        for _ in 0..<array.count {
            guard array.type != .array, array.type != .string,
                let value = try cursor.value(array.type, key: key).integer
            else { return nil }
            values.append(value)
        }
        return values
    }

    /// The numbers of an array; nil when the value is not an array of numbers.
    package func numbers(_ key: String) throws(GGUFError) -> [Float]? {
        guard let array = metadata[key]?.array else { return nil }
        guard array.type == .float32 else { return try integers(key)?.map { Float($0) } }
        var cursor = self.cursor(at: array.offset)
        var values: [Float] = []
        values.reserveCapacity(array.count)
        for _ in 0..<array.count {
            values.append(Float(bitPattern: try cursor.read(UInt32.self, "metadata '\(key)'")))
        }
        return values
    }

    private func cursor(at offset: Int) -> GGUFCursor {
        GGUFCursor(
            UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount), file: path,
            position: offset)
    }
}

/// A tensor as the file's table describes it, before its numbers are believed.
private struct Entry {
    let name: String
    let dimensions: [UInt64]
    let type: UInt32
    let offset: UInt64

    init(_ cursor: inout GGUFCursor) throws(GGUFError) {
        let name = try cursor.text("a tensor's name")
        let what = "the entry of tensor \(name)"
        let rank = try cursor.read(UInt32.self, what)
        guard rank <= 4 else {
            throw .impossibleCount(file: cursor.file, of: "dimensions of tensor \(name)", count: UInt64(rank))
        }
        var dimensions: [UInt64] = []
        for _ in 0..<rank { dimensions.append(try cursor.read(UInt64.self, what)) }
        self.name = name
        self.dimensions = dimensions
        type = try cursor.read(UInt32.self, what)
        offset = try cursor.read(UInt64.self, what)
    }

    func tensor(
        _ storage: Storage, dataStart: Int, available: UInt64, alignment: Int, _ path: String
    ) throws(GGUFError) -> GGUFFile.Tensor {
        guard let type = GGMLType.with(code: type) else {
            throw .unknownTensorType(file: path, tensor: name, type: GGMLType.name(of: self.type))
        }
        var count: UInt64 = 1
        for dimension in dimensions {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard dimension > 0, !overflow, product < 1 << 56 else {
                throw .badShape(file: path, tensor: name, dimensions: dimensions)
            }
            count = product
        }
        let columns = dimensions.first ?? 1
        guard columns % UInt64(type.blockWidth) == 0 else {
            throw .unevenRows(file: path, tensor: name, type: type.name, columns: columns)
        }
        let bytes = count / UInt64(type.blockWidth) * UInt64(type.blockBytes)
        guard offset % UInt64(alignment) == 0 else {
            throw .misaligned(file: path, tensor: name, offset: offset, alignment: alignment)
        }
        guard offset <= available, bytes <= available - offset else {
            throw .outOfRange(file: path, tensor: name, offset: offset, bytes: bytes, available: available)
        }
        return GGUFFile.Tensor(
            name: name, type: type, shape: dimensions.reversed().map { Int($0) },
            bytes: StorageSlice(storage, offset: dataStart + Int(offset), byteCount: Int(bytes)))
    }
}
