import CWinnow
import Synchronization
import WinnowNumbers

/// Memory for the tensors of a training step: a block that is let go is kept by its size and handed out
/// again, so that steps of one shape allocate nothing after the first.
public final class TapeMemory: Sendable {
    private struct State {
        /// Addresses of free blocks by their size in bytes.
        var free: [Int: [UInt]] = [:]
        var bytes = 0
        var inUse = 0
        var peak = 0
    }
    private let state = Mutex(State())
    /// The most bytes that ``makeRoom(for:)`` grants; nil: what the system gives.
    public let limit: Int?

    public init(limit: Int? = nil) { self.limit = limit }

    deinit { trim() }

    /// Bytes of all blocks, free or not.
    public var byteCount: Int { state.withLock { $0.bytes } }

    /// The most bytes in use at once so far.
    public var peakBytes: Int { state.withLock { $0.peak } }

    /// Finds out whether so many bytes can be had, those of all blocks among them: ops do not throw, so whoever
    /// starts a step asks first.
    ///
    /// - Parameter bytes: of a step at its peak, at least.
    /// - Throws: ``TapeMemoryError/noRoom(bytes:limit:)``; what is held stays as it is.
    public func makeRoom(for bytes: Int) throws(TapeMemoryError) {
        if let limit, bytes > limit { throw .noRoom(bytes: bytes, limit: limit) }
        let missing = bytes - byteCount
        guard missing > 0 else { return }
        // Pages that nobody writes are not resident: asking costs nothing.
        guard let probe = wn_allocate_zeroed(missing) else { throw .noRoom(bytes: bytes, limit: nil) }
        wn_free_zeroed(probe)
    }

    func take(floats count: Int) -> UnsafeMutablePointer<Float> {
        let bytes = TapeMemory.roomFor(count)
        let kept = state.withLock { state -> UInt? in
            state.inUse += bytes
            state.peak = max(state.peak, state.inUse)
            if let address = state.free[bytes]?.popLast() { return address }
            state.bytes += bytes
            return nil
        }
        if let kept { return UnsafeMutablePointer(bitPattern: kept)! }
        if let fresh = wn_allocate_zeroed(bytes) { return fresh.assumingMemoryBound(to: Float.self) }
        // Blocks of other sizes that nobody uses may be what is missing.
        trim()
        guard let fresh = wn_allocate_zeroed(bytes) else {
            fatalError(
                "no memory for \(bytes) bytes of activations: the step was begun without makeRoom(for:)")
        }
        return fresh.assumingMemoryBound(to: Float.self)
    }

    func give(back address: UInt, floats count: Int) {
        let bytes = TapeMemory.roomFor(count)
        state.withLock { state in
            state.inUse -= bytes
            state.free[bytes, default: []].append(address)
        }
    }

    /// Frees what nobody uses: after a step of other shapes.
    public func trim() {
        let doomed = state.withLock { state in
            let doomed = state.free
            state.free = [:]
            for (bytes, blocks) in doomed { state.bytes -= bytes * blocks.count }
            return doomed
        }
        for block in doomed.values.joined() { wn_free_zeroed(UnsafeMutableRawPointer(bitPattern: block)) }
    }

    private static func roomFor(_ count: Int) -> Int { (max(count, 1) * 4 + 63) / 64 * 64 }
}

/// Why a training step does not begin.
public enum TapeMemoryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// - Parameter limit: nil: the system refused.
    case noRoom(bytes: Int, limit: Int?)

    public var description: String {
        switch self {
        case .noRoom(let bytes, let limit):
            "the activations of a step need \(Format.bytes(bytes)), "
                + (limit.map { "more than the limit of \(Format.bytes($0))" }
                    ?? "which the system does not give")
                + ": use a smaller batch or length, or recompute"
        }
    }
}

/// Float32 values of a ``TapeMemory``, written while they are made, then frozen into a tensor; gradients are
/// blocks that stay writable while one place alone holds them.
package final class FloatBlock {
    package let base: UnsafeMutablePointer<Float>
    package let count: Int
    private let memory: TapeMemory
    private var isFrozen = false

    package init(count: Int, in memory: TapeMemory) {
        base = memory.take(floats: count)
        self.count = count
        self.memory = memory
    }

    deinit { if !isFrozen { memory.give(back: UInt(bitPattern: base), floats: count) } }

    /// The same memory as an immutable tensor; the block is not written any more.
    package func freeze(_ shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count && !isFrozen, "\(count) values for \(shape)")
        isFrozen = true
        let storage = Storage(base: UnsafeMutableRawPointer(base), byteCount: count * 4) {
            [memory, count] pointer, _ in
            memory.give(back: UInt(bitPattern: pointer), floats: count)
        }
        return Tensor(dtype: .f32, shape: shape, bytes: StorageSlice(storage))
    }
}

extension Tensor {
    /// The values of a float32 tensor, as long as it lives.
    package var floatBase: UnsafePointer<Float> {
        precondition(dtype == .f32, "\(dtype.rawValue) values read as F32")
        return bytes.base.assumingMemoryBound(to: Float.self)
    }

    /// A view of memory that somebody else owns and keeps: a parameter's masters.
    package init(
        viewing values: UnsafeMutablePointer<Float>, shape: [Int], keeping owner: some AnyObject & Sendable
    ) {
        let count = shape.reduce(1, *)
        let storage = Storage(base: UnsafeMutableRawPointer(values), byteCount: count * 4) { _, _ in
            withExtendedLifetime(owner) {}
        }
        self.init(dtype: .f32, shape: shape, bytes: StorageSlice(storage))
    }
}
