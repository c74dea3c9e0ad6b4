import CWinnow

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads ranges of a file into memory of the caller's. Unlike a mapping it gives an error, not a signal, when the
/// disk fails or the file became shorter.
public protocol RangeReader: Sendable {
    var path: String { get }
    /// What offsets, lengths and addresses are multiples of; 1: anything.
    var alignment: Int { get }
    /// One read.
    ///
    /// - Returns: how many bytes came, from `offset` on: perhaps fewer than asked for, and none past the end.
    func read(at offset: Int, into memory: UnsafeMutableRawBufferPointer) throws(FileError) -> Int
}

extension RangeReader {
    /// Reads until `needed` bytes have come, in as many reads as it takes.
    ///
    /// - Parameter memory: a multiple of ``alignment``, which may go past the end of the file.
    /// - Throws: ``RangeReadError``.
    package func read(
        at offset: Int, into memory: UnsafeMutableRawBufferPointer, needed: Int
    ) throws(RangeReadError) {
        var done = 0
        while done < needed {
            let rest = UnsafeMutableRawBufferPointer(rebasing: memory[done...])
            let count: Int
            do { count = try read(at: offset + done, into: rest) } catch {
                throw .refused(error, offset: offset + done)
            }
            guard count > 0 else {
                throw .endsEarly(path: path, offset: offset, expected: needed, found: done)
            }
            // After a short read that is no multiple the next one begins at a multiple again.
            let next = done + count
            guard next < needed else { return }
            let whole = next / alignment * alignment
            guard whole > done else {
                throw .endsEarly(path: path, offset: offset, expected: needed, found: next)
            }
            done = whole
        }
    }
}

/// Why a range of a file cannot be had.
public enum RangeReadError: Error, Equatable, Sendable, CustomStringConvertible {
    case refused(FileError, offset: Int)
    case endsEarly(path: String, offset: Int, expected: Int, found: Int)

    public var description: String {
        switch self {
        case .refused(let error, let offset): "\(error), at byte \(offset); is the disk sound?"
        case .endsEarly(let path, let offset, let expected, let found):
            "\(path) ends early: \(found) of \(expected) bytes from byte \(offset) on; was it changed while in use?"
        }
    }
}

/// Reads a file with `pread`: past the page cache (`O_DIRECT`) where the file system can, else through it.
public final class FileRangeReader: RangeReader {
    public let path: String
    public let alignment: Int
    private let descriptor: Int32

    /// Whether reads go past the page cache.
    public var isDirect: Bool { alignment > 1 }

    /// - Parameter isCached: through the page cache even where it could go past it.
    /// - Throws: ``FileError`` when the file cannot be opened.
    public init(_ path: String, cached isCached: Bool = false) throws(FileError) {
        var descriptor: Int32 = -1
        var alignment = 1
        if !isCached {
            descriptor = wn_open_direct(path)
            if descriptor >= 0 { alignment = 4096 }
        }
        // Memory file systems refuse O_DIRECT.
        if descriptor < 0 { descriptor = open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(path, operation: "open", code: errno) }
        self.path = path
        self.alignment = alignment
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    public func read(at offset: Int, into memory: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        while true {
            let count = pread(descriptor, memory.baseAddress, memory.count, off_t(offset))
            if count >= 0 { return count }
            guard errno == EINTR else { throw FileError(path, operation: "read", code: errno) }
        }
    }
}
