import CWinnow

/// Samples how fast this machine reads memory, the roof of decoding.
public struct MemoryBandwidth: ~Copyable {
    private var memory: Buffer<SIMD8<UInt64>>

    /// Places that a thread reads from in turn: which number is the fastest depends on the machine.
    private static let streams = [1, 4, 8]

    /// - Parameter bytes: how much to read; larger than the caches for DRAM.
    public init(bytes: Int) {
        memory = Buffer(count: max(bytes / 64, 1))
        memory.withMutableElements { $0.update(repeating: SIMD8(repeating: 1)) }
    }

    /// Bytes per second on all threads of a pool: the fastest of three ways to read, each over a third of the memory.
    public func sample(on pool: KernelPool) -> Double {
        memory.withElements { elements in
            let lines = elements.count / MemoryBandwidth.streams.count
            var best = 0.0
            for (index, streams) in MemoryBandwidth.streams.enumerated() {
                let clock = ContinuousClock()
                let start = clock.now
                // Every 64-bit word is 1: the sum is what was read.
                let words = wn_read_memory(
                    pool.pointer, elements.baseAddress! + index * lines, lines * 64, streams)
                best = max(best, Double(words * 8) / ((clock.now - start) / .seconds(1)))
            }
            return best
        }
    }
}
