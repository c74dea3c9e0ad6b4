import WinnowCore
import WinnowJSON

/// Writes one safetensors file, tensor after tensor, none of them kept.
///
/// The header stands first but is known last: room for it is left, and spaces fill what it does not need, as the
/// format allows. Data begins at a multiple of 64, and so does every tensor as long as those before it end at
/// one: tensors that do not are held back and written last, largest alignment first.
package final class SafetensorsWriter {
    private struct Entry {
        let name: String
        let dtype: DType
        let shape: [Int]
        let begin: Int
        let end: Int
    }

    /// Tensors held back may take this much memory together.
    private static let heldLimit = 64 << 20

    private let file: OutputFile
    private let dataStart: Int
    private var entries: [Entry] = []
    private var held: [(index: Int, bytes: StorageSlice)] = []
    private var heldBytes = 0
    private let metadata: String

    /// Bytes of tensors, held back or written.
    package var dataBytes: Int { file.byteCount - dataStart + heldBytes }

    /// - Parameter names: all that may be appended; others have no room in the header.
    /// - Parameter metadata: texts for the header.
    package init(_ path: String, names: [String], metadata: JSONObject = JSONObject([("format", "pt")]))
        throws(FileError)
    {
        file = try OutputFile(path)
        self.metadata = JSONValue.object(metadata).text()
        let room = names.reduce(64 + self.metadata.utf8.count) {
            $0 + SafetensorsWriter.entryBytes(name: $1)
        }
        dataStart = (8 + room + 63) / 64 * 64
        try file.append(repeating: UInt8(ascii: " "), count: dataStart)
    }

    /// - Parameter fill: zeros to write after the bytes, which the shape counts.
    package func append(
        _ name: String, _ dtype: DType, _ shape: [Int], _ bytes: StorageSlice, fill: Int = 0
    ) throws(FileError) {
        let total = bytes.byteCount + fill
        precondition(
            shape.count <= 4 && shape.reduce(1, *) * dtype.byteCount == total,
            "\(total) bytes for \(name), \(shape) of \(dtype.rawValue)")
        let begin = file.byteCount - dataStart
        entries.append(Entry(name: name, dtype: dtype, shape: shape, begin: begin, end: begin + total))
        try file.append(bytes)
        try file.append(repeating: 0, count: fill)
    }

    /// A tensor on its own: written now when what follows stays aligned, else at the end.
    package func append(_ name: String, _ tensor: Tensor) throws(FileError) {
        guard tensor.bytes.byteCount % 64 != 0 else {
            return try append(name, tensor.dtype, tensor.shape, tensor.bytes)
        }
        held.append((entries.count, tensor.bytes))
        heldBytes += tensor.bytes.byteCount
        entries.append(Entry(name: name, dtype: tensor.dtype, shape: tensor.shape, begin: 0, end: 0))
        if heldBytes > SafetensorsWriter.heldLimit { try writeHeld() }
    }

    /// - Returns: the bytes of the whole file.
    @discardableResult
    package func finish() throws(FileError) -> Int {
        try writeHeld()
        var header: [UInt8] = Array("{\"__metadata__\":\(metadata)".utf8)
        for entry in entries {
            let shape = entry.shape.map(String.init).joined(separator: ",")
            header += Array(
                ",\(JSONValue.string(entry.name).text()):{\"dtype\":\"\(entry.dtype.rawValue)\",\"shape\":[\(shape)],"
                    .utf8)
            header += Array("\"data_offsets\":[\(entry.begin),\(entry.end)]}".utf8)
        }
        header.append(UInt8(ascii: "}"))
        precondition(header.count <= dataStart - 8, "the header of \(file.path) outgrew its room")
        let length = UInt64(dataStart - 8)
        try file.replace(at: 0, with: (0..<8).map { UInt8(truncatingIfNeeded: length >> UInt64(8 * $0)) })
        try file.replace(at: 8, with: header)
        try file.finish()
        return file.byteCount
    }

    private func writeHeld() throws(FileError) {
        func alignment(_ count: Int) -> Int { min(count & -count, 64) }
        let ordered = held.sorted {
            let (a, b) = (alignment($0.bytes.byteCount), alignment($1.bytes.byteCount))
            return a != b ? a > b : $0.index < $1.index
        }
        for (index, bytes) in ordered {
            let begin = file.byteCount - dataStart
            let entry = entries[index]
            entries[index] = Entry(
                name: entry.name, dtype: entry.dtype, shape: entry.shape, begin: begin,
                end: begin + bytes.byteCount)
            try file.append(bytes)
        }
        held = []
        heldBytes = 0
    }

    /// The most that a tensor's entry takes in the header.
    /// Room for two numbers of any size, or four that are dimensions of images.
    private static func entryBytes(name: String) -> Int {
        JSONValue.string(name).text().utf8.count + 2 * 18 + 2 * 18 + 48
    }
}

extension SafetensorsFile {
    /// Writes a file of a few tensors, beside its final name and then renamed.
    ///
    /// - Parameter metadata: texts by name; nil: the usual mark.
    public static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [(String, String)]? = nil, to path: String,
        overwrite: Bool
    ) throws {
        let texts = JSONObject((metadata ?? [("format", "pt")]).map { ($0, .string($1)) })
        let output = try AtomicOutput(path, .file, overwrite: overwrite)
        let writer = try SafetensorsWriter(
            output.partialPath, names: tensors.map(\.name), metadata: texts)
        for (name, tensor) in tensors { try writer.append(name, tensor) }
        try writer.finish()
        try output.commit()
    }
    /// The same with tensors that are made one after another, and let go when they are written.
    public static func write(_ names: [String], to path: String, tensor: (Int) throws -> Tensor) throws {
        let output = try AtomicOutput(path, .file, overwrite: false)
        let writer = try SafetensorsWriter(output.partialPath, names: names)
        for (index, name) in names.enumerated() { try writer.append(name, tensor(index)) }
        try writer.finish()
        try output.commit()
    }
}
