import CWinnow

/// What the numbers of a product are rounded to before they are multiplied; sums are float32, and so is all else.
public enum ProductPrecision: String, Sendable, Codable, CaseIterable {
    case float32
    /// To the nearest, ties to even. The order in which a block of products is added up is the instruction's, see
    /// ``bfloat16Kernels``: equal bits for any number of threads, not on any machine.
    case bfloat16

    /// What multiplies bfloat16 on this machine.
    public enum Bfloat16Kernels: String, Sendable {
        /// Nothing: rounded numbers are multiplied as float32, at its speed.
        case rounded
        /// AVX512_BF16.
        case pairs
        /// AMX.
        case tiles
    }

    public static var bfloat16Kernels: Bfloat16Kernels {
        switch wn_bf16_current() {
        case WN_BF16_TILES: .tiles
        case WN_BF16_PAIRS: .pairs
        default: .rounded
        }
    }
}
