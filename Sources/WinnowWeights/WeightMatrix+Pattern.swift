import WinnowCore

extension WeightMatrix {
    /// The tightest of the usual patterns that every group of every row keeps, nil for none.
    ///
    /// N:M keeps at most N of M consecutive weights of a row; 1:4, 2:4 and 4:8 are looked for, then blocks of 1x4.
    public func pattern(on pool: KernelPool) -> String? {
        if let nOfM = nOfM() { return nOfM }
        let mask = mask ?? nonzeros(on: pool)
        return mask.prunedCount > 0 && mask.keepsBlocks(of: 4) ? "1x4" : nil
    }

    private func nOfM() -> String? {
        var largest = [4: 0, 8: 0]
        var row = [Float](repeating: 0, count: columns)
        for index in 0..<rows {
            row.withUnsafeMutableBufferPointer { self.row(index, into: $0.baseAddress!) }
            for size in [4, 8] {
                for start in stride(from: 0, to: columns, by: size) {
                    var kept = 0
                    for column in start..<min(columns, start + size) where row[column] != 0 { kept += 1 }
                    largest[size] = max(largest[size]!, kept)
                }
            }
            if largest[4]! > 2, largest[8]! > 4 { return nil }
        }
        return largest[4]! <= 1 ? "1:4" : largest[4]! <= 2 ? "2:4" : largest[8]! <= 4 ? "4:8" : nil
    }
}
