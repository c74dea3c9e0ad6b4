/// An arena planned once, when a model is bound to its largest batch, and reused for every step.
///
/// Ask for regions with ``reserve(bytes:)`` while planning, then ``commit()``; after that no step allocates.
public final class Workspace {
    /// A place in the arena.
    public struct Region: Sendable {
        fileprivate let offset: Int
        public let byteCount: Int
    }

    private var planned = 0
    private var memory = Buffer<UInt8>(count: 0)

    public init() {}

    public var byteCount: Int { planned }

    public func reserve(bytes: Int) -> Region {
        let region = Region(offset: planned, byteCount: bytes)
        planned += (bytes + 63) / 64 * 64
        return region
    }

    public func reserve(floats count: Int) -> Region { reserve(bytes: count * MemoryLayout<Float>.stride) }

    public func commit() { memory = Buffer(count: planned) }

    public func pointer(_ region: Region) -> UnsafeMutableRawPointer {
        precondition(memory.count >= region.offset + region.byteCount, "workspace used before commit()")
        return UnsafeMutableRawPointer(memory.base) + region.offset
    }

    public func floats(_ region: Region) -> UnsafeMutablePointer<Float> {
        pointer(region).assumingMemoryBound(to: Float.self)
    }
}
