import CWinnow
import WinnowNumbers

/// The worker threads that kernels run on: the caller is worker 0, N-1 more are started.
///
/// One job at a time, from one thread: the owner (an engine) keeps it to itself.
public final class KernelPool {
    package let pointer: OpaquePointer
    public let threads: Int

    /// - Throws: ``KernelPoolError`` when a thread cannot be started.
    public init(threads: Int) throws(KernelPoolError) {
        guard let pointer = wn_pool_create(max(threads, 1)) else { throw .cannotStart(threads: threads) }
        self.pointer = pointer
        self.threads = max(threads, 1)
    }

    deinit { wn_pool_destroy(pointer) }

    /// Runs `body(chunk, worker)` for every chunk, spread over the workers; returns when all are done.
    public func run(chunks: Int, _ body: (_ chunk: Int, _ worker: Int) -> Void) {
        guard chunks > 0 else { return }
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { context in
                wn_pool_run(pointer, chunks, { context, chunk, worker in
                    context!.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(chunk, worker)
                }, context)
            }
        }
    }

    /// Gives each worker at least this much scratch.
    public func reserve(scratch bytes: Int) throws(KernelPoolError) {
        guard wn_pool_reserve(pointer, bytes) else { throw .outOfMemory(bytes: bytes) }
    }
}

public enum KernelPoolError: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotStart(threads: Int)
    case outOfMemory(bytes: Int)

    public var description: String {
        switch self {
        case .cannotStart(let threads): "cannot start \(threads) threads: use a smaller --threads"
        case .outOfMemory(let bytes): "no memory for \(Format.bytes(bytes)) of kernel scratch a thread"
        }
    }
}
