/// Bits of weights and of inputs under their usual names.
public struct QuantizationScheme: Sendable, Equatable {
    public let name: String
    private let bits: Int
    private let kind: Kind

    private enum Kind: Sendable { case rows, groups, blocks }

    /// W3A16 uses the inner 8 codes of int4: there is no format of 3 bits yet, so it saves no bytes over W4A16.
    public static let all = [
        QuantizationScheme(name: "W8A16", bits: 8, kind: .rows),
        QuantizationScheme(name: "W8A8", bits: 8, kind: .blocks),
        QuantizationScheme(name: "W4A16", bits: 4, kind: .groups),
        QuantizationScheme(name: "W3A16", bits: 3, kind: .groups),
    ]

    public static func named(_ name: String) -> QuantizationScheme? { all.first { $0.name == name } }

    /// - Parameter group: columns that share a scale, in schemes of groups.
    /// - Parameter method: SmoothQuant's W8A8 is its paper's: a scale a row, whatever inputs products read.
    public func form(group: Int, method: String) -> StoredForm {
        switch kind {
        case .rows: .int8
        case .blocks where method == SmoothQuant.name: .int8
        case .blocks: .q8_0
        case .groups: .int4(group: group, bits: bits)
        }
    }
}
