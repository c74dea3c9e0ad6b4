import WinnowCore
import WinnowWeights

/// A matrix that another tool packed, and what it becomes here; made when it is asked for.
struct UnpackedMatrix: Sendable {
    /// The format that it gets.
    let layer: PackedLayers.Layer
    /// What it was: `gptq 4-bit, groups of 128`.
    let source: String
    /// Bytes of its parts in the files.
    let storedBytes: Int
    let parts: @Sendable () throws -> WeightMatrix.Parts

    /// Whether the file's own codes are run, under its own mask.
    var isKept: Bool { layer.format.isMasked }

    /// Bytes that it takes when it was made.
    var byteCount: Int {
        let format = layer.format
        if format.isMasked { return storedBytes }
        return layer.rows * format.rowBytes(columns: layer.columns)
            + format.scaleBytes(rows: layer.rows, columns: layer.columns, group: max(layer.group, 1))
    }

    init(_ codes: ScaledCodes, storedBytes: Int) throws {
        let (format, group) = try codes.format()
        layer = PackedLayers.Layer(format: format, rows: codes.rows, columns: codes.columns, group: group)
        var source = codes.label
        if codes.rowsPerGroup > 1, codes.rowsPerGroup < codes.rows {
            source += ", blocks of \(codes.rowsPerGroup) x \(codes.columnsPerGroup)"
        } else if codes.groups > 1 {
            source += ", groups of \(codes.columnsPerGroup)"
        }
        if codes.groupOf != nil { source += " in the order of activations" }
        if case .sparse = codes.codes { source += ", sparse" }
        self.source = source
        self.storedBytes = storedBytes
        parts = { try codes.parts(in: format, group: group) }
    }

    /// A sparse matrix of plain numbers: float16 stays under its mask, the others get zeros in place.
    init(_ mask: Bitmask, _ kept: Tensor, source: String, storedBytes: Int) {
        self.source = source
        self.storedBytes = storedBytes
        let (rows, columns, size) = (mask.rows, mask.columns, kept.dtype.byteCount)
        if kept.dtype == .f16, let offsets = mask.offsets(size: 2) {
            layer = PackedLayers.Layer(format: .maskedF16, rows: rows, columns: columns, group: 0)
            parts = { WeightMatrix.Parts(values: kept.bytes, mask: mask.words(), rowOffsets: offsets) }
            return
        }
        let format: WeightFormat = kept.dtype == .f16 ? .f16 : kept.dtype == .bf16 ? .bf16 : .f32
        layer = PackedLayers.Layer(format: format, rows: rows, columns: columns, group: 0)
        parts = {
            WeightMatrix.Parts(
                values: StorageSlice(
                    Storage(byteCount: rows * columns * size) { out in
                        mask.expand(0..<rows, kept.bytes, size: size, into: out.baseAddress!)
                    }))
        }
    }

    /// A sparse matrix of int8 with one scale a row: it is one of our formats as it stands.
    init(
        _ mask: Bitmask, _ kept: StorageSlice, offsets: StorageSlice, scales: [Float], source: String,
        storedBytes: Int
    ) {
        self.source = source
        self.storedBytes = storedBytes
        layer = PackedLayers.Layer(format: .maskedInt8, rows: mask.rows, columns: mask.columns, group: 0)
        parts = {
            WeightMatrix.Parts(
                values: kept, mask: mask.words(), rowOffsets: offsets, scales: StorageSlice(copying: scales))
        }
    }
}
