import CWinnow

// Winnow's own integer formats: symmetric, one scale a row (int8) or a group of columns (int4).
extension WeightFormat {
    public static let int8 = WeightFormat("int8", WN_INT8, codeBits: 8, scales: .row)
    public static let int4 = WeightFormat("int4", WN_INT4, codeBits: 4, blockWidth: 32, scales: .group)
    public static let maskedInt8 = WeightFormat(
        "masked-int8", WN_MASKED_INT8, codeBits: 8, scales: .row, dense: WN_INT8)
    public static let maskedInt4 = WeightFormat(
        "masked-int4", WN_MASKED_INT4, codeBits: 4, blockWidth: 32, scales: .group, dense: WN_INT4)
    /// Blocks of four columns of a row, kept or pruned together: a bit a block, and products that read whole blocks.
    public static let block4Int8 = WeightFormat(
        "block4-int8", WN_BLOCK4_INT8, codeBits: 8, blockWidth: 4, scales: .row, dense: WN_INT8,
        maskColumns: 4)
}
