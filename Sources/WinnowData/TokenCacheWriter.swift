import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes a token cache beside its final name, and renames it when it is whole and on disk.
final class TokenCacheWriter {
    /// Tokens held before they are written; a multiple of a checksum's eight.
    static let bufferTokens = 1 << 18

    private let path: String
    private let partial: String
    private let key: [UInt8]
    private var descriptor: Int32
    private var wordSum = Checksum()
    private var isFinished = false

    init(_ path: String, key: [UInt8]) throws {
        self.path = path
        self.key = key
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        partial = "\(path[..<slash]).\(path[slash...]).partial-\(getpid())"
        descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(partial, operation: "create", code: errno) }
        try [UInt8](repeating: 0, count: TokenCache.headerBytes).withUnsafeBytes { try write($0) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isFinished { unlink(partial) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var done = 0
        while done < bytes.count {
            #if canImport(Glibc)
                let count = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            #elseif canImport(Musl)
                let count = Musl.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            #else
                let count = Darwin.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError(partial, operation: "write", code: errno)
            }
            done += count
        }
    }

    /// Writes what the sink holds, in whole eights of tokens.
    func write(_ sink: TokenSink) throws {
        let whole = sink.tokens.count / 8 * 8, rest = Array(sink.tokens[whole...])
        try sink.tokens.withUnsafeBytes { bytes in
            let part = UnsafeRawBufferPointer(rebasing: bytes[..<(whole * 4)])
            wordSum.add(part)
            try write(part)
        }
        sink.written(whole)
        sink.tokens += rest
    }

    /// Writes the rest, the table and the header, syncs, and gives the file its name.
    func finish(_ sink: TokenSink) throws {
        sink.end()
        let tokens = sink.tokenCount + sink.tokens.count
        var padded = sink.tokens
        if tokens % 2 == 1 { padded.append(0) }
        try padded.withUnsafeBytes { bytes in
            wordSum.add(bytes)
            try write(bytes)
        }
        let tableSum = sink.table.withUnsafeBytes { Checksum.of($0) }
        try sink.table.withUnsafeBytes { try write($0) }
        var header = [UInt8](repeating: 0, count: TokenCache.headerBytes)
        header.withUnsafeMutableBytes { bytes in
            bytes.copyBytes(from: TokenCache.magic)
            bytes.storeBytes(of: TokenCache.version, toByteOffset: 8, as: UInt32.self)
            for (index, byte) in key.enumerated() { bytes[16 + index] = byte }
            bytes.storeBytes(of: UInt64(tokens), toByteOffset: 48, as: UInt64.self)
            bytes.storeBytes(of: UInt64(sink.table.count / 2 - 1), toByteOffset: 56, as: UInt64.self)
            bytes.storeBytes(of: wordSum.value, toByteOffset: 64, as: UInt64.self)
            bytes.storeBytes(of: tableSum, toByteOffset: 72, as: UInt64.self)
            let sum = Checksum.of(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<80]))
            bytes.storeBytes(of: sum, toByteOffset: 80, as: UInt64.self)
        }
        guard lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw FileError(partial, operation: "write", code: errno)
        }
        try header.withUnsafeBytes { try write($0) }
        guard fsync(descriptor) == 0 else { throw FileError(partial, operation: "write", code: errno) }
        guard rename(partial, path) == 0 else { throw FileError(path, operation: "create", code: errno) }
        isFinished = true
    }
}
