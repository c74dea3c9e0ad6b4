/// Samples how fast this machine reads memory, the roof of decoding.
public struct MemoryBandwidth: ~Copyable {
    private var memory: Buffer<SIMD8<UInt64>>

    /// - Parameter bytes: how much to read; larger than the caches for DRAM.
    public init(bytes: Int) {
        memory = Buffer(count: max(bytes / 64, 1))
        memory.withMutableElements { $0.update(repeating: SIMD8(repeating: 1)) }
    }

    /// Bytes per second of one pass over the memory, on all threads of a pool.
    public func sample(on pool: KernelPool) -> Double {
        memory.withElements { elements in
            let pieces = pool.threads * 8
            let size = (elements.count + pieces - 1) / pieces
            let clock = ContinuousClock()
            let sink = Buffer<UInt64>(count: pieces * 8)
            let start = clock.now
            pool.run(chunks: pieces) { chunk, _ in
                var sums = (SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>())
                var index = chunk * size
                let end = min(elements.count, index + size)
                while index + 4 <= end {
                    sums.0 &+= elements[index]
                    sums.1 &+= elements[index + 1]
                    sums.2 &+= elements[index + 2]
                    sums.3 &+= elements[index + 3]
                    index += 4
                }
                // Written, so that the loop is not thrown away; chunks write far apart.
                sink.base[chunk * 8] = (sums.0 &+ sums.1 &+ sums.2 &+ sums.3).wrappedSum()
            }
            return Double(memory.count * 64) / ((clock.now - start) / .seconds(1))
        }
    }
}
