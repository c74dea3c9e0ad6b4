import CWinnow

extension WeightFormat {
    public static let f32 = WeightFormat("f32", WN_F32, codeBits: 32)
    public static let f16 = WeightFormat("f16", WN_F16, codeBits: 16)
    public static let bf16 = WeightFormat("bf16", WN_BF16, codeBits: 16)
    /// Kept float16 values under a mask.
    public static let maskedF16 = WeightFormat("masked-f16", WN_MASKED_F16, codeBits: 16, dense: WN_F16)
}
