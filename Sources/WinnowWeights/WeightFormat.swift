import CWinnow
import WinnowCore

/// What the bits of a weight matrix mean, and in which order they stand: a row of ``WeightFormats/all``.
///
/// Names are the file formats' own (`q4_1`, `f16`), `masked-` before those that keep one bit a weight and the
/// kept codes only. The layouts are written down in `wn_matrix.h`.
public struct WeightFormat: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    package let code: wn_format
    /// The width of a stored weight, in bits, scales not counted.
    public let codeBits: Int
    /// Columns come in multiples of this.
    public let blockWidth: Int
    /// Bits of scales: for each row, or for each block or group of a row.
    package let scales: Scales
    /// For a masked format, the dense one with the same values.
    package let denseCode: wn_format?
    /// Columns of a row that a bit of the mask stands for.
    public let maskColumns: Int

    package enum Scales: Sendable, Hashable {
        case none
        /// One float32 a row, in an array of its own.
        case row
        /// `count` float16 a block of 32; inside the block when dense, in an array of their own when masked.
        case block(count: Int)
        /// One float16 for `group` columns, in an array of its own.
        case group
        /// Scales and codes packed together in blocks of `blockWidth` columns.
        case inside(blockBytes: Int)
    }

    package init(
        _ name: String, _ code: wn_format, codeBits: Int, blockWidth: Int = 1, scales: Scales = .none,
        dense: wn_format? = nil, maskColumns: Int = 1
    ) {
        self.name = name
        self.code = code
        self.codeBits = codeBits
        self.blockWidth = blockWidth
        self.scales = scales
        denseCode = dense
        self.maskColumns = maskColumns
    }

    public var isMasked: Bool { denseCode != nil }

    /// The same values without a mask.
    public var dense: WeightFormat { denseCode.flatMap(WeightFormats.with(code:)) ?? self }

    /// The same values under a mask of single weights, or of what the format's own mask holds; nil where no masked layout
    /// exists.
    public var masked: WeightFormat? {
        isMasked ? self : WeightFormats.all.first { $0.denseCode == code && $0.maskColumns == 1 }
    }

    /// Bytes between the rows of a mask.
    package func maskStride(columns: Int) -> Int { WeightMatrix.maskStride(columns: columns / maskColumns) }

    /// The format that pruned weights get when they are to stay in their own grid: the masked twin, the same
    /// format where plain numbers can be zero in place, and int8 for grids that have no masked layout.
    public var pruned: WeightFormat { masked ?? (isFloat ? self : .maskedInt8) }

    /// Whether Winnow can round weights to this format; the larger block formats of GGUF are only read.
    public var canEncode: Bool { if case .inside = scales { false } else { true } }

    /// Whether the weights are plain floating-point numbers.
    public var isFloat: Bool { codeBits >= 16 }

    /// Bytes of a dense row of `columns` weights; scales in arrays of their own are not in it.
    package func rowBytes(columns: Int) -> Int {
        switch scales {
        case .block(let count): columns / 32 * (32 * codeBits / 8 + 2 * count)
        case .inside(let blockBytes): columns / blockWidth * blockBytes
        default: (columns * codeBits + 7) / 8
        }
    }

    /// Bytes of all scales that stand in an array of their own.
    package func scaleBytes(rows: Int, columns: Int, group: Int) -> Int {
        switch scales {
        case .none, .inside: 0
        case .row: rows * 4
        case .block(let count): isMasked ? rows * (columns / 32) * 2 * count : 0
        case .group: rows * ((columns + group - 1) / group) * 2
        }
    }

    public var description: String { name }

    public static func == (a: WeightFormat, b: WeightFormat) -> Bool { a.code == b.code }
    public func hash(into hasher: inout Hasher) { hasher.combine(code.rawValue) }
}

/// Every weight format that Winnow runs packed.
public enum WeightFormats {
    public static let all: [WeightFormat] =
        [
            .f32, .f16, .bf16, .q4_0, .q4_1, .q8_0, .int8, .int4,
            .maskedQ4_0, .maskedQ4_1, .maskedQ8_0, .maskedInt8, .maskedInt4, .maskedF16,
            .block4Int8,
        ] + WeightFormat.ggmlBlocks

    /// The format of a name; nil when there is none.
    public static func named(_ name: String) -> WeightFormat? { all.first { $0.name == name } }

    static func with(code: wn_format) -> WeightFormat? { all.first { $0.code == code } }
}
