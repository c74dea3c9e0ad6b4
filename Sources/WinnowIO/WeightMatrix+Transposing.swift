import WinnowCore
import WinnowWeights

extension PackedLayers.Layer {
    /// A plain matrix with rows for columns: Conv1D checkpoints hold `[inputs, outputs]`.
    ///
    /// - Parameter parts: of a format with whole bytes a weight and nothing beside the values.
    func transposing(_ parts: WeightMatrix.Parts) -> (PackedLayers.Layer, WeightMatrix.Parts) {
        let size = format.codeBits / 8
        let values = Storage(byteCount: rows * columns * size) { out in
            for row in 0..<rows {
                for column in 0..<columns {
                    let source = parts.values.bytes[
                        (row * columns + column) * size..<(row * columns + column + 1) * size]
                    UnsafeMutableRawBufferPointer(
                        rebasing: out[(column * rows + row) * size..<(column * rows + row + 1) * size]
                    )
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
                }
            }
        }
        return (
            PackedLayers.Layer(format: format, rows: columns, columns: rows, group: group),
            WeightMatrix.Parts(values: StorageSlice(values))
        )
    }
}

extension WeightMatrix {
    /// A plain matrix with rows for columns.
    func transposed() throws -> WeightMatrix {
        let layout = PackedLayers.Layer(format: format, rows: rows, columns: columns, group: group)
        let (turned, values) = layout.transposing(parts)
        return try WeightMatrix(
            format: format, rows: turned.rows, columns: turned.columns, parts: values, name: "transposed")
    }
}

extension WeightFormat {
    /// float32, float16 or bfloat16 without a mask.
    var isPlain: Bool { isFloat && !isMasked }
}
