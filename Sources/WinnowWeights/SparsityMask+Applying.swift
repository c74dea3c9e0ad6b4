import CWinnow
import WinnowCore

extension SparsityMask {
    /// Zeroes the pruned of a row of float32 values.
    package func zeroPruned(row index: Int, of values: UnsafeMutablePointer<Float>) {
        wn_zero_pruned(values, 4, row(index), columns)
    }

    /// A mask as a checkpoint stores it, U8 `[rows, bytes of a row]`; nil for another shape, or bits past the last
    /// column.
    public init?(rows: Int, columns: Int, stored: Tensor) {
        let stride = WeightMatrix.maskStride(columns: columns)
        guard stored.dtype == .u8, stored.shape == [rows, stride] else { return nil }
        let bytes = stored.bytes.bytes
        if columns % 64 != 0 {
            for row in 0..<rows {
                let last = bytes.loadUnaligned(fromByteOffset: (row + 1) * stride - 8, as: UInt64.self)
                guard UInt64(littleEndian: last) >> UInt64(columns % 64) == 0 else { return nil }
            }
        }
        // Words are read where they lie: a copy, so that they lie well.
        let storage = Storage(byteCount: bytes.count) { $0.copyMemory(from: bytes) }
        self.init(rows: rows, columns: columns, bytes: StorageSlice(storage))
    }
}
