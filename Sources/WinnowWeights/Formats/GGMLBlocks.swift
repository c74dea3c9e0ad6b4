import CWinnow

// The other block formats of GGUF, read where they stand. Bits a weight count the
// scales: Q4_K takes 144 bytes for 256 weights, 4.5 bits.
extension WeightFormat {
    static let ggmlBlocks: [WeightFormat] = [
        block("q5_0", WN_Q5_0, codeBits: 5), block("q5_1", WN_Q5_1, codeBits: 5),
        block("q2_k", WN_Q2_K, codeBits: 2), block("q3_k", WN_Q3_K, codeBits: 3),
        block("q4_k", WN_Q4_K, codeBits: 4), block("q5_k", WN_Q5_K, codeBits: 5),
        block("q6_k", WN_Q6_K, codeBits: 6), block("iq4_nl", WN_IQ4_NL, codeBits: 4),
        block("iq4_xs", WN_IQ4_XS, codeBits: 4), block("mxfp4", WN_MXFP4, codeBits: 4),
        block("tq1_0", WN_TQ1_0, codeBits: 2), block("tq2_0", WN_TQ2_0, codeBits: 2),
        block("iq1_s", WN_IQ1_S, codeBits: 1), block("iq1_m", WN_IQ1_M, codeBits: 1),
        block("iq2_xxs", WN_IQ2_XXS, codeBits: 2), block("iq2_xs", WN_IQ2_XS, codeBits: 2),
        block("iq2_s", WN_IQ2_S, codeBits: 2), block("iq3_xxs", WN_IQ3_XXS, codeBits: 3),
        block("iq3_s", WN_IQ3_S, codeBits: 3), block("nvfp4", WN_NVFP4, codeBits: 4),
    ]

    private static func block(_ name: String, _ code: wn_format, codeBits: Int) -> WeightFormat {
        var width = 0, bytes = 0
        wn_ggml_block(code, &width, &bytes)
        return WeightFormat(name, code, codeBits: codeBits, blockWidth: width, scales: .inside(blockBytes: bytes))
    }
}
