import WinnowCore
import WinnowWeights

/// A matrix of a GGUF format under a mask, packed weight by weight: the layout as `Documentation/formats.md` has it.
func naivelyMasked(_ matrix: WeightMatrix, keeping isKept: (_ row: Int, _ column: Int) -> Bool) throws -> WeightMatrix {
    let dense = matrix.parts.values.bytes
    let rowBytes = dense.count / matrix.rows
    let head = matrix.format == .q4_1 ? 4 : 2
    let blockBytes = matrix.format == .q8_0 ? 34 : head + 16
    var mask = [UInt8](repeating: 0, count: matrix.rows * ((matrix.columns + 63) / 64 * 8))
    var values: [UInt8] = []
    var offsets: [UInt32] = [0]
    var scales: [UInt8] = []
    for row in 0..<matrix.rows {
        var nibbles: [UInt8] = []
        for column in 0..<matrix.columns {
            if column % 64 == 0 { flush(&nibbles, into: &values) }
            let block = row * rowBytes + column / 32 * blockBytes
            let place = column % 32
            if place == 0, matrix.format != .f16 { scales += dense[block..<block + head] }
            guard isKept(row, column) else { continue }
            mask[row * ((matrix.columns + 63) / 64 * 8) + column / 8] |= 1 << UInt8(column % 8)
            switch matrix.format {
            case .f16: values += dense[row * rowBytes + 2 * column..<row * rowBytes + 2 * column + 2]
            case .q8_0: values.append(dense[block + 2 + place])
            default: nibbles.append(dense[block + head + place % 16] >> (place < 16 ? 0 : 4) & 15)
            }
        }
        flush(&nibbles, into: &values)
        offsets.append(UInt32(values.count))
    }
    return try WeightMatrix(
        format: matrix.format.masked!, rows: matrix.rows, columns: matrix.columns,
        parts: WeightMatrix.Parts(
            values: StorageSlice(copying: values), mask: StorageSlice(copying: mask),
            rowOffsets: StorageSlice(copying: offsets),
            scales: scales.isEmpty ? nil : StorageSlice(copying: scales)),
        name: "masked")
}

/// Two codes a byte, low nibble first; a run of 64 columns ends its last byte.
private func flush(_ nibbles: inout [UInt8], into values: inout [UInt8]) {
    for first in stride(from: 0, to: nibbles.count, by: 2) {
        values.append(nibbles[first] | (first + 1 < nibbles.count ? nibbles[first + 1] << 4 : 0))
    }
    nibbles.removeAll()
}
