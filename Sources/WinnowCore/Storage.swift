#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bytes that never change, owned by the heap or by a mapped file; freed with the last reference.
///
/// Frozen from a ``Buffer`` or mapped from a file. Sendable because nothing writes after creation.
public final class Storage: @unchecked Sendable {
    /// The first byte; valid as long as this object lives.
    public let base: UnsafeRawPointer
    public let byteCount: Int
    /// The file that is mapped here, from its first byte on; nil for memory.
    public let file: String?
    private let release: (UnsafeMutableRawPointer, Int) -> Void

    init(
        base: UnsafeMutableRawPointer, byteCount: Int, file: String? = nil,
        release: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void
    ) {
        self.base = UnsafeRawPointer(base)
        self.byteCount = byteCount
        self.file = file
        self.release = release
    }

    deinit { release(UnsafeMutableRawPointer(mutating: base), byteCount) }

    /// Freshly allocated bytes, 64-byte aligned, zeroed, then filled by `fill`.
    public convenience init(byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let base = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(byteCount, 1))
        do {
            try fill(UnsafeMutableRawBufferPointer(start: base, count: byteCount))
        } catch {
            base.deallocate()
            throw error
        }
        self.init(base: base, byteCount: byteCount) { pointer, _ in pointer.deallocate() }
    }

    /// A copy of plain values.
    public convenience init<Element: BitwiseCopyable>(copying values: [Element]) {
        self.init(byteCount: values.count * MemoryLayout<Element>.stride) { bytes in
            values.withUnsafeBytes { bytes.copyMemory(from: $0) }
        }
    }

    /// A file's bytes, mapped read-only; pages come from the page cache as they are touched.
    ///
    /// - Throws: ``FileError`` when the file cannot be opened, is not a regular file, or cannot be mapped.
    public static func mapping(_ path: String) throws(FileError) -> Storage {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(path, operation: "stat", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(path, operation: "open", code: S_ISDIRCode(status.st_mode))
        }
        let count = Int(status.st_size)
        guard count > 0 else { return Storage(byteCount: 0) { _ in } }
        guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw FileError(path, operation: "map", code: errno)
        }
        return Storage(base: base, byteCount: count, file: path) { pointer, count in munmap(pointer, count) }
    }

    /// Tells the system that a mapped file is looked at in few places: it then reads no megabytes around each of them.
    package func expectFewReads() {
        guard file != nil, byteCount > 0 else { return }
        madvise(UnsafeMutableRawPointer(mutating: base), byteCount, Int32(MADV_RANDOM))
    }

    /// Zeros in whole pages of their own, which go back to the system with the last reference.
    ///
    /// - Throws: ``FileError`` when the system has no room.
    package static func pages(byteCount: Int) throws(FileError) -> Storage {
        let count = max(byteCount, 1)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let base = mmap(nil, count, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
            throw FileError("\(count) bytes of memory", operation: "map", code: errno)
        }
        #if os(Linux)
            // Fewer entries of the page tables: for kernels that go through it, and for the disk that writes it.
            madvise(base, count, Int32(MADV_HUGEPAGE))
        #endif
        return Storage(base: base, byteCount: count) { pointer, count in munmap(pointer, count) }
    }
}

private func S_ISDIRCode(_ mode: mode_t) -> Int32 { mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL }

/// A range of a ``Storage``'s bytes.
public struct StorageSlice: Sendable {
    public let storage: Storage
    public let offset: Int
    public let byteCount: Int

    public init(_ storage: Storage, offset: Int = 0, byteCount: Int? = nil) {
        let count = byteCount ?? storage.byteCount - offset
        precondition(
            offset >= 0 && count >= 0 && offset <= storage.byteCount - count,
            "slice \(offset)+\(count) of \(storage.byteCount) bytes")
        self.storage = storage
        self.offset = offset
        self.byteCount = count
    }

    public init<Element: BitwiseCopyable>(copying values: [Element]) {
        self.init(Storage(copying: values))
    }

    public var base: UnsafeRawPointer { storage.base + offset }
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }
}

/// A file operation that the system refused.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    public let operation: String
    public let code: Int32

    public init(_ path: String, operation: String, code: Int32) {
        self.path = path
        self.operation = operation
        self.code = code
    }

    public var description: String {
        "cannot \(operation) \(path): \(String(cString: strerror(code)))" + (advice.map { "; \($0)" } ?? "")
    }

    /// What to do, where the code alone says it.
    private var advice: String? {
        switch code {
        case ENOSPC, EDQUOT: "free some space or write to another disk"
        case EFBIG: "raise the limit on file sizes (ulimit -f) or write to another disk"
        case EACCES, EPERM: "check who may use it"
        case EROFS: "choose a place that can be written"
        case ENOENT: "check the path"
        default: nil
        }
    }
}
