import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A new file being written; closed with its last reference.
package final class OutputFile {
    package let path: String
    /// Bytes written so far.
    package private(set) var byteCount = 0
    private var descriptor: Int32

    /// - Throws: `FileError` when the file is there already or cannot be made.
    package init(_ path: String) throws(FileError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path, operation: "create", code: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            let written = writeSome(descriptor, piece.baseAddress, piece.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError(path, operation: "write", code: errno)
            }
            rest = rest.dropFirst(written)
            byteCount += written
        }
    }

    package func append(_ bytes: [UInt8]) throws(FileError) {
        try bytes.withUnsafeBufferPointer { bytes throws(FileError) in try append(UnsafeRawBufferPointer(bytes)) }
    }

    package func append(_ slice: StorageSlice) throws(FileError) {
        try append(slice.bytes)
        withExtendedLifetime(slice) {}
    }

    package func append(repeating byte: UInt8 = 0, count: Int) throws(FileError) {
        if count > 0 { try append([UInt8](repeating: byte, count: count)) }
    }

    /// Overwrites bytes that were written before.
    package func replace(at offset: Int, with bytes: [UInt8]) throws(FileError) {
        precondition(offset >= 0 && offset + bytes.count <= byteCount, "a change past the end of \(path)")
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            if written < 0, errno != EINTR { throw FileError(path, operation: "write", code: errno) }
            done += max(written, 0)
        }
    }

    /// Brings everything to the disk and closes the file.
    package func finish() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError(path, operation: "write", code: errno) }
        let result = close(descriptor)
        descriptor = -1
        guard result == 0 else { throw FileError(path, operation: "write", code: errno) }
    }

    /// A whole small file.
    package static func write(_ text: String, to path: String) throws(FileError) {
        let file = try OutputFile(path)
        try file.append(Array(text.utf8))
        try file.finish()
    }
}

/// The system's `write`, under a name that no method shadows.
private func writeSome(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
