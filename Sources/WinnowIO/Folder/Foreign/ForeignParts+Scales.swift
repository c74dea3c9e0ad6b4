import WinnowCore
import WinnowWeights

// Scales and zero points, however many weights each covers.

extension ForeignParts {
    /// The types of plain numbers.
    static let floats: [DType] = [.f32, .f16, .bf16]

    /// Scales for the tensor, for rows, for groups of columns, or for blocks.
    struct ScaleBlocks {
        let columnsPerGroup: Int
        let rowsPerGroup: Int
        let groups: Int
        let count: Int
        let format: WeightFormat
        let values: @Sendable () throws -> [Float]

        /// A scale of 1 for all.
        static func one(_ columns: Int, _ rows: Int) -> ScaleBlocks {
            ScaleBlocks(columnsPerGroup: columns, rowsPerGroup: rows, groups: 1, count: 1, format: .f16) {
                [1]
            }
        }
    }

    func scales(_ part: String, rows: Int, columns: Int, block: [Int]?) throws(CheckpointError)
        -> ScaleBlocks
    {
        let tensor = try tensor(part, ForeignParts.floats)
        var shape = tensor.shape.isEmpty ? [1, 1] : tensor.shape
        if shape.count == 1 { shape = [shape[0], 1] }
        guard shape.count == 2 else {
            throw wrong(part, "has the shape \(shape); expected two dimensions at most")
        }
        let (high, wide) = (shape[0], shape[1])
        let tall: Int
        var broad: Int
        if let block, high != rows || wide != 1, (rows + block[0] - 1) / block[0] == high,
            (columns + block[1] - 1) / block[1] == wide
        {
            (tall, broad) = (block[0], block[1])
        } else if high == rows || high == 1 {
            tall = high == 1 ? rows : 1
            broad = try width(part, columns: columns, groups: wide, wanted: nil)
        } else {
            guard rows % high == 0 else {
                throw wrong(part, "has the shape \(shape) for weights of [\(rows), \(columns)]")
            }
            tall = rows / high
            broad = try width(part, columns: columns, groups: wide, wanted: nil)
        }
        if wide == 1 { broad = columns }
        return ScaleBlocks(
            columnsPerGroup: broad, rowsPerGroup: tall, groups: wide, count: high * wide,
            format: tensor.floatFormat
        ) { tensor.floats() ?? [] }
    }

    /// Zero points of a byte each.
    func bytes(_ part: String, count: Int, adding: Int) throws(CheckpointError)
        -> @Sendable () throws -> [Int16]
    {
        let values = try integers(part, count: count)
        guard values.allSatisfy({ (-256...255).contains($0) }) else {
            throw wrong(part, "has a value that is no byte")
        }
        let zeros = values.map { Int16($0 + adding) }
        return { zeros }
    }

    /// `[rows, columns]` as `[columns, rows]`.
    static func turned<Element>(_ values: [Element], rows: Int, columns: Int) -> [Element] {
        guard rows > 1 else { return values }
        return (0..<values.count).map { values[$0 % rows * columns + $0 / rows] }
    }
}
