import CWinnow

// The block formats of GGUF, run in place; masked, they keep the source's codes and scales.
extension WeightFormat {
    /// Blocks of 32, w = d (c - 8): 4.5 bits a weight.
    public static let q4_0 = WeightFormat(
        "q4_0", WN_Q4_0, codeBits: 4, blockWidth: 32, scales: .block(count: 1))
    /// Blocks of 32, w = d c + m: 5 bits a weight.
    public static let q4_1 = WeightFormat(
        "q4_1", WN_Q4_1, codeBits: 4, blockWidth: 32, scales: .block(count: 2))
    /// Blocks of 32, w = d c: 8.5 bits a weight.
    public static let q8_0 = WeightFormat(
        "q8_0", WN_Q8_0, codeBits: 8, blockWidth: 32, scales: .block(count: 1))

    public static let maskedQ4_0 = WeightFormat(
        "masked-q4_0", WN_MASKED_Q4_0, codeBits: 4, blockWidth: 32, scales: .block(count: 1), dense: WN_Q4_0)
    public static let maskedQ4_1 = WeightFormat(
        "masked-q4_1", WN_MASKED_Q4_1, codeBits: 4, blockWidth: 32, scales: .block(count: 2), dense: WN_Q4_1)
    public static let maskedQ8_0 = WeightFormat(
        "masked-q8_0", WN_MASKED_Q8_0, codeBits: 8, blockWidth: 32, scales: .block(count: 1), dense: WN_Q8_0)
}
