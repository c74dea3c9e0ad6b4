import WinnowWeights

/// A tensor type of GGUF that Winnow runs in place.
struct GGMLType: Sendable {
    let code: UInt32
    let name: String
    let blockWidth: Int
    let blockBytes: Int
    let format: WeightFormat

    static let supported: [GGMLType] = [
        GGMLType(code: 0, name: "F32", blockWidth: 1, blockBytes: 4, format: .f32),
        GGMLType(code: 1, name: "F16", blockWidth: 1, blockBytes: 2, format: .f16),
        GGMLType(code: 30, name: "BF16", blockWidth: 1, blockBytes: 2, format: .bf16),
        GGMLType(code: 2, name: "Q4_0", blockWidth: 32, blockBytes: 18, format: .q4_0),
        GGMLType(code: 3, name: "Q4_1", blockWidth: 32, blockBytes: 20, format: .q4_1),
        GGMLType(code: 8, name: "Q8_0", blockWidth: 32, blockBytes: 34, format: .q8_0),
    ] + [
        (6, "Q5_0"), (7, "Q5_1"), (10, "Q2_K"), (11, "Q3_K"), (12, "Q4_K"), (13, "Q5_K"), (14, "Q6_K"),
        (16, "IQ2_XXS"), (17, "IQ2_XS"), (18, "IQ3_XXS"), (19, "IQ1_S"), (20, "IQ4_NL"), (21, "IQ3_S"),
        (22, "IQ2_S"), (23, "IQ4_XS"), (29, "IQ1_M"), (34, "TQ1_0"), (35, "TQ2_0"), (39, "MXFP4"), (40, "NVFP4"),
    ].map { (code: UInt32, name: String) in
        let format = WeightFormats.named(name.lowercased())!
        return GGMLType(
            code: code, name: name, blockWidth: format.blockWidth,
            blockBytes: format.rowBytes(columns: format.blockWidth), format: format)
    }

    static func with(code: UInt32) -> GGMLType? { supported.first { $0.code == code } }
    static func with(format: WeightFormat) -> GGMLType? { supported.first { $0.format == format } }

    /// What a type number is called, for errors: also of types that cannot be run.
    static func name(of code: UInt32) -> String {
        if let type = with(code: code) { return type.name }
        let names: [UInt32: String] = [
            9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 41: "Q1_0", 42: "Q2_0",
        ]
        return names[code] ?? "number \(code)"
    }
}
