import WinnowCore
import WinnowWeights

/// The format that pruned matrices are kept in.
public enum StoredForm: Sendable, Hashable {
    /// The matrix's own grid: the masked twin of its format, kept codes and scales as they were. f32 and bf16,
    /// which have no twin, stay dense with zeros; the larger block formats of GGUF become masked int8.
    case source
    /// Rounded to the nearest of 8 bits, one scale a row.
    case int8
    /// The same where four columns of a row are pruned together: a mask with a bit for each four.
    case block4Int8
    /// Rounded to the nearest of 4 bits, one scale for each `group` columns: 32, 64 or 128.
    /// Fewer than 4 bits use the inner codes of the same format.
    case int4(group: Int, bits: Int = 4)
    /// Rounded to the nearest of 8 bits, one scale for each 32 columns: products read 8-bit inputs.
    case q8_0
    case f16

    /// The format that a matrix gets.
    public func format(of matrix: WeightMatrix) -> WeightFormat {
        switch self {
        case .source: matrix.format.pruned
        case .int8: .maskedInt8
        case .block4Int8: .block4Int8
        case .int4: .maskedInt4
        case .q8_0: .maskedQ8_0
        case .f16: .maskedF16
        }
    }

    /// A layer as it will be kept: under its mask, weights that a method changed in codes of this form. nil when
    /// nothing was done to it.
    ///
    /// - Throws: `WeightError` for a weight that the format cannot hold.
    package func store(_ layer: LinearWeights) throws -> WeightMatrix? {
        guard layer.mask != nil || layer.replacement != nil else { return nil }
        if self == .block4Int8 {
            let stored = try StoredForm.int8.store(layer)
            return try layer.mask.flatMap { mask in
                try stored.map { try inBlocks($0, mask, layer.pool, layer.name) }
            }
                ?? stored
        }
        guard var values = layer.replacement else {
            return try layer.mask.map { try store(layer.matrix, $0, on: layer.pool, name: layer.name) }
        }
        let dense = format(of: layer.matrix).dense
        if values.format != dense {
            if self == .source, let grid = QuantGrid(of: layer.matrix, on: layer.pool) {
                values = try values.rounded(to: grid, under: layer.mask, on: layer.pool, name: layer.name)
            } else if let mask = layer.mask, !dense.isFloat {
                // Scales are chosen on kept weights alone.
                return try values.masked(
                    by: mask, storedAs: dense, group: group(of: layer.matrix), on: layer.pool,
                    name: layer.name)
            } else {
                values = try values.converted(
                    to: dense, group: group(of: layer.matrix), on: layer.pool, name: layer.name)
            }
        }
        return try layer.mask.map { try values.masked(by: $0, on: layer.pool, name: layer.name) } ?? values
    }

    /// The codes of a matrix in this form; nil for plain numbers.
    func grid(of matrix: WeightMatrix, on pool: KernelPool) -> QuantGrid? {
        switch self {
        case .source:
            if let own = QuantGrid(of: matrix, on: pool) { return own }
            return matrix.format.isFloat ? nil : QuantGrid(int8Of: matrix, on: pool)
        case .int8, .block4Int8: return QuantGrid(int8Of: matrix, on: pool)
        case .int4(let group, let bits): return QuantGrid(int4Of: matrix, group: group, bits: bits)
        case .q8_0: return QuantGrid(q8_0Of: matrix, on: pool)
        case .f16: return nil
        }
    }

    /// Columns that share a scale in int4, of this form or of the matrix itself.
    private func group(of matrix: WeightMatrix) -> Int {
        if case .int4(let group, _) = self { group } else { matrix.group }
    }

    /// The matrix as it is under a mask, in this form.
    package func store(
        _ matrix: WeightMatrix, _ mask: SparsityMask, on pool: KernelPool, name: String
    ) throws -> WeightMatrix {
        switch self {
        case .source: try matrix.masked(by: mask, on: pool, name: name)
        case .block4Int8:
            try inBlocks(StoredForm.int8.store(matrix, mask, on: pool, name: name), mask, pool, name)
        case .int8, .q8_0, .f16:
            try matrix.masked(by: mask, storedAs: format(of: matrix).dense, group: 0, on: pool, name: name)
        case .int4(let group, _):
            try matrix.masked(by: mask, storedAs: .int4, group: group, on: pool, name: name)
        }
    }

    private func inBlocks(
        _ matrix: WeightMatrix, _ mask: SparsityMask, _ pool: KernelPool, _ name: String
    ) throws(WeightError) -> WeightMatrix {
        try matrix.masked(by: mask, in: .block4Int8, on: pool, name)
    }

    /// Bytes that a matrix of this many kept weights takes, within the rounding of rows.
    package func byteCount(of matrix: WeightMatrix, keeping share: Double) -> Int {
        let format = format(of: matrix)
        let group = max(group(of: matrix), 1)
        // Where nothing is pruned there is no mask.
        if share == 1, matrix.mask == nil, self != .source {
            return matrix.count * format.codeBits / 8
                + format.dense.scaleBytes(rows: matrix.rows, columns: matrix.columns, group: group)
                + (self == .q8_0 ? matrix.count / 16 : 0)
        }
        guard format.isMasked else { return matrix.byteCount }
        let kept = Double(matrix.count) * share
        return Int(kept * Double(format.codeBits) / 8) + matrix.rows
            * format.maskStride(columns: matrix.columns)
            + (matrix.rows + 1) * 4
            + format.scaleBytes(rows: matrix.rows, columns: matrix.columns, group: group)
    }

    /// The sparsity under which a mask over codes of this width makes a matrix larger: 1/q.
    public static func breakEven(_ format: WeightFormat) -> Double { 1 / Double(format.codeBits) }
}

extension StoredForm: CustomStringConvertible {
    /// `source`, `int8`, `block4-int8`, `int4`, `q8_0`, `f16`.
    public init?(_ name: String, group: Int) {
        switch name {
        case "source": self = .source
        case "int8": self = .int8
        case "block4-int8": self = .block4Int8
        case "int4": self = .int4(group: group)
        case "q8_0": self = .q8_0
        case "f16": self = .f16
        default: return nil
        }
    }

    public static let names = ["source", "int8", "block4-int8", "int4", "q8_0", "f16"]

    public var description: String {
        switch self {
        case .source: "source"
        case .int8: "int8"
        case .block4Int8: "block4-int8"
        case .int4(let group, let bits): "int4, groups of \(group)" + (bits < 4 ? ", \(bits) bits" : "")
        case .q8_0: "q8_0"
        case .f16: "f16"
        }
    }
}
