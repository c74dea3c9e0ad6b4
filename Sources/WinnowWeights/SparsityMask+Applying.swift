import CWinnow

extension SparsityMask {
    /// Zeroes the pruned of a row of float32 values.
    package func zeroPruned(row index: Int, of values: UnsafeMutablePointer<Float>) {
        wn_zero_pruned(values, 4, row(index), columns)
    }
}
