/// Tables of the marks that normalizers leave out.
enum MarkRanges {
    /// Whether a scalar lies in a run of a table.
    @inline(__always)
    static func contains(_ value: UInt32, in pairs: [UInt32]) -> Bool {
        guard value >= 0x300 else { return false }
        var low = 0
        var high = pairs.count / 2
        while low < high {
            let middle = (low + high) / 2
            if pairs[2 * middle + 1] < value { low = middle + 1 } else { high = middle }
        }
        return 2 * low < pairs.count && pairs[2 * low] <= value
    }
}
