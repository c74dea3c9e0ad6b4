import CWinnow

/// Samples how much this machine multiplies and adds when nothing waits for memory, the roof of prefill.
///
/// Runs the instruction that Winnow's products use on the current instruction set, on operands that stay in registers:
/// fused multiply-add in float32; `vpdpbusd` (AVX-512), `vpmaddwd` over two planes of inputs at once (AVX2), `sdot` or
/// `smull` (NEON) in int8; plain C in the scalar set.
public enum ArithmeticPeak: String, Sendable, CaseIterable, Codable {
    case f32
    /// Products of bfloat16, where the CPU has them: AMX's tiles or AVX512_BF16's pairs.
    case bf16
    case int8

    private var code: wn_probe_kind {
        switch self {
        case .f32: WN_PROBE_F32
        case .bf16: WN_PROBE_BF16
        case .int8: WN_PROBE_INT8
        }
    }

    /// Operations per second, a multiplication and an addition counted as two, on all threads of a pool: the best of a
    /// few runs, since a thread that another process held up says nothing about the units.
    ///
    /// - Parameter seconds: about how long a sample takes.
    /// - Returns: nil where the instruction set has no such instruction.
    public func sample(on pool: KernelPool, seconds: Double = 0.004) -> Double? {
        let clock = ContinuousClock()
        var (rounds, best, spent, runs) = (1 << 9, 0.0, 0.0, 0)
        while spent < seconds || runs < 4 {
            let start = clock.now
            let done = wn_probe(pool.pointer, code, rounds)
            let elapsed = max((clock.now - start) / .seconds(1), 1e-9)
            guard done > 0 else { return nil }
            best = max(best, 2 * done / elapsed)
            spent += elapsed
            runs += 1
            // The next run takes a quarter of the time at the best rate.
            let wanted = best * seconds / 4 * Double(rounds) / (2 * done)
            rounds = Int(min(max(wanted, 1), Double(WN_PROBE_ROUNDS)))
        }
        return best
    }
}
