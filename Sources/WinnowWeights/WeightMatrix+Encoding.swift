import CWinnow
import WinnowCore

extension WeightMatrix {
    /// Whether ``converted(to:group:on:name:)`` keeps every value as it is.
    public func isExact(in format: WeightFormat) -> Bool {
        if format == self.format || format == .f32 { return true }
        return self.format.isMasked && format == self.format.dense && self.format != .maskedQ4_1
    }

    /// The same weights in a dense format, rounded to the nearest code where the grids differ.
    ///
    /// A masked matrix in its own grid keeps its codes and scales; pruned weights get the code of zero, so they
    /// stay zero. In Q4_1 and on grids whose zero is not a code they are rounded as any other value.
    ///
    /// - Parameter group: columns a scale covers, for int4 only.
    /// - Parameter name: what errors call the matrix.
    /// - Throws: ``WeightError/notFinite(name:row:)`` for NaN, infinity, or a value too large for the format;
    ///   ``WeightError/unevenBlocks(name:columns:blockWidth:)``; ``WeightError/cannotEncode(name:format:)``.
    public func converted(
        to format: WeightFormat, group: Int = 64, on pool: KernelPool, name: String
    ) throws(WeightError) -> WeightMatrix {
        precondition(!format.isMasked, "\(format.name) is not a dense format")
        let keepsGroup = format.scales == .group && self.format.scales == .group
        if format == self.format, !keepsGroup || group == self.group { return self }
        guard format.canEncode else { throw .cannotEncode(name: name, format: format.name) }
        guard columns % format.blockWidth == 0 else {
            throw .unevenBlocks(name: name, columns: columns, blockWidth: format.blockWidth)
        }
        guard format.scales != .group || [32, 64, 128].contains(group) else {
            throw .badGroup(name: name, group: group)
        }
        let keepsGrid = format != .f32 && isExact(in: format) && (!keepsGroup || group == self.group)
        let rowBytes = format.rowBytes(columns: columns)
        let scaleBytes = format.scaleBytes(rows: 1, columns: columns, group: group)
        let values = Buffer<UInt8>(count: rows * rowBytes)
        var scales = Buffer<UInt8>(count: rows * scaleBytes)
        let failed = Buffer<Bool>(count: rows)
        if keepsGrid, scaleBytes > 0, let kept = parts.scales {
            scales.withMutableElements { UnsafeMutableRawBufferPointer($0).copyMemory(from: kept.bytes) }
        }
        let target = Rows(values: values.base, scales: scales.base, failed: failed.base)
        let rowsAtOnce = max(1, 1 << 16 / columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { floats in
                for row in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                    let out = target.values + row * rowBytes
                    if keepsGrid {
                        target.failed[row] = !wn_unmask_row(descriptor, row, out)
                        continue
                    }
                    wn_row_f32(descriptor, row, floats.baseAddress)
                    target.failed[row] = !wn_encode_row(
                        format.code, group, floats.baseAddress, columns, out, target.scales + row * scaleBytes)
                }
            }
        }
        if let row = failed.withElements({ $0.firstIndex(of: true) }) { throw .notFinite(name: name, row: row) }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: format.scales == .group ? group : 0,
            parts: Parts(
                values: StorageSlice(values.freeze()),
                scales: scaleBytes > 0 ? StorageSlice(scales.freeze()) : nil),
            name: name)
    }
}

/// Where workers write, each its own rows.
private struct Rows {
    let values: UnsafeMutablePointer<UInt8>
    let scales: UnsafeMutablePointer<UInt8>
    let failed: UnsafeMutablePointer<Bool>
}
