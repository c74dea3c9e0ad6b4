import CWinnow

/// Mutable, uniquely owned memory for plain elements, 64-byte aligned, zeroed.
///
/// One of the three places where Winnow writes (`Parameter`, KV pages and ``Workspace`` are made of it).
/// `freeze()` turns it into an immutable ``Storage`` without a copy.
public struct Buffer<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    public let count: Int
    package let base: UnsafeMutablePointer<Element>

    public init(count: Int) {
        precondition(count >= 0, "a buffer of \(count) elements")
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Element>.stride
        guard let raw = wn_allocate_zeroed(bytes) else { fatalError("no memory for \(bytes) bytes") }
        base = raw.assumingMemoryBound(to: Element.self)
    }

    deinit { wn_free_zeroed(base) }

    public func withElements<Result>(_ body: (UnsafeBufferPointer<Element>) throws -> Result) rethrows -> Result {
        try body(UnsafeBufferPointer(start: base, count: count))
    }

    public mutating func withMutableElements<Result>(
        _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) rethrows -> Result {
        try body(UnsafeMutableBufferPointer(start: base, count: count))
    }

    /// The same memory as an immutable storage.
    public consuming func freeze() -> Storage {
        let storage = Storage(
            base: UnsafeMutableRawPointer(base), byteCount: count * MemoryLayout<Element>.stride
        ) { pointer, _ in wn_free_zeroed(pointer) }
        discard self
        return storage
    }
}
