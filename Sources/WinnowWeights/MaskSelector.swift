import CWinnow
import WinnowCore

/// Scores of a matrix, made row by row so that they are never all in memory.
public struct ScoredRows {
    /// What errors call the matrix.
    public let name: String
    public let rows: Int
    public let columns: Int
    /// Fills `columns` scores of a row, larger is kept; false when one is not finite. Called by several workers.
    package let fill: (_ row: Int, _ scores: UnsafeMutablePointer<Float>) -> Bool

    package init(
        name: String, rows: Int, columns: Int, fill: @escaping (Int, UnsafeMutablePointer<Float>) -> Bool
    ) {
        self.name = name
        self.rows = rows
        self.columns = columns
        self.fill = fill
    }

    /// Scores that are there already, `[rows, columns]`.
    public init(name: String, rows: Int, columns: Int, scores: [Float]) {
        precondition(scores.count == rows * columns, "\(scores.count) scores for [\(rows), \(columns)]")
        self.init(name: name, rows: rows, columns: columns) { row, out in
            var finite = true
            for column in 0..<columns {
                out[column] = scores[row * columns + column]
                finite = finite && out[column].isFinite
            }
            return finite
        }
    }
}

extension ScoredRows {
    /// Scores of blocks of `unit` columns: the root of the sum of squares of the positive ones; of a block without, its
    /// largest.
    package func blocks(of unit: Int) -> ScoredRows {
        guard unit > 1 else { return self }
        precondition(columns % unit == 0, "\(columns) columns in blocks of \(unit)")
        return ScoredRows(name: name, rows: rows, columns: columns / unit) { [columns, fill] row, out in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
                guard fill(row, values.baseAddress!) else { return false }
                for block in 0..<columns / unit {
                    var (sum, largest) = (0.0, -Float.infinity)
                    for value in values[block * unit..<(block + 1) * unit] {
                        if value > 0 { sum += Double(value) * Double(value) }
                        largest = max(largest, value)
                    }
                    out[block] = sum > 0 ? Float(sum.squareRoot()) : largest
                }
                return true
            }
        }
    }
}

/// Turns scores into a mask with an exact count: the single place where the smallest are chosen.
///
/// Linear time. Among equal scores the one with the lowest index goes first (over several matrices: the
/// earlier matrix). The same mask for any number of threads.
public struct MaskSelector {
    private let pool: KernelPool

    public init(on pool: KernelPool) { self.pool = pool }

    /// Prunes `pruned` of each row.
    ///
    /// - Throws: ``SelectionError/notFinite(name:row:)``.
    public func mask(_ scores: ScoredRows, pruningInEachRow pruned: Int) throws(SelectionError)
        -> SparsityMask
    {
        let columns = scores.columns
        precondition(pruned >= 0 && pruned <= columns, "\(pruned) of \(columns) columns")
        return try maskByRow(scores) { values, mask in
            wn_select_top(values, columns, columns - pruned, mask)
        }
    }

    /// Keeps `n` of each `m` consecutive weights of a row; of a last group of L < m, ceil(L n / m).
    public func mask(_ scores: ScoredRows, keeping n: Int, of m: Int) throws(SelectionError) -> SparsityMask {
        precondition(n > 0 && n <= m, "\(n):\(m)")
        let columns = scores.columns
        return try maskByRow(scores) { values, mask in wn_select_n_of_m(values, columns, n, m, mask) }
    }

    /// Prunes `pruned` of the whole matrix.
    public func mask(_ scores: ScoredRows, pruning pruned: Int) throws(SelectionError) -> SparsityMask {
        var threshold = try self.threshold(over: [scores], pruning: pruned)
        return try mask(scores, under: &threshold)
    }

    /// Where the smallest `pruned` scores of all these matrices end: three passes over the scores.
    public func threshold(over all: [ScoredRows], pruning pruned: Int) throws(SelectionError)
        -> SelectionThreshold
    {
        precondition(
            pruned >= 0 && pruned <= all.reduce(0) { $0 + $1.rows * $1.columns }, "\(pruned) weights")
        var prefix: UInt32 = 0
        var prefixMask: UInt32 = 0
        var left = UInt64(pruned)
        for (shift, width) in [(21, 11), (10, 11), (0, 10)] as [(UInt32, UInt32)] {
            var histogram = Buffer<UInt64>(count: 2048 * pool.threads)
            for scores in all {
                let counts = histogram.base
                try eachRow(scores) { row, values, worker in
                    scores.fill(row, values)
                        && wn_count_scores(
                            values, scores.columns, prefix, prefixMask, shift, width, counts + 2048 * worker)
                }
            }
            let digit = histogram.withMutableElements { counts in
                for worker in 1..<max(pool.threads, 1) {
                    for digit in 0..<2048 { counts[digit] += counts[2048 * worker + digit] }
                }
                var digit = 0
                while digit < 1 << width - 1, counts[digit] <= left {
                    left -= counts[digit]
                    digit += 1
                }
                return UInt32(digit)
            }
            prefix |= digit << shift
            prefixMask |= (1 << width - 1) << shift
        }
        return SelectionThreshold(orderedBits: prefix, tiesToPrune: Int(left))
    }

    /// The part of one matrix in a selection over several, taken in their order.
    public func mask(
        _ scores: ScoredRows, under threshold: inout SelectionThreshold
    ) throws(SelectionError) -> SparsityMask {
        let bits = threshold.orderedBits
        // Equals are pruned in order of rows: each row must know how many stand before it.
        var ties = [Int](repeating: 0, count: scores.rows)
        let stride = WeightMatrix.maskStride(columns: scores.columns)
        let mask = Buffer<UInt8>(count: scores.rows * stride)
        let out = mask.base
        try ties.withUnsafeMutableBufferPointer { ties throws(SelectionError) in
            nonisolated(unsafe) let ties = ties
            try eachRow(scores) { row, values, _ in
                guard scores.fill(row, values) else { return false }
                ties[row] = wn_select_above(values, scores.columns, bits, .max, out + row * stride)
                return true
            }
        }
        var left = threshold.tiesToPrune
        var starts: [Int: Int] = [:]
        for row in 0..<scores.rows where ties[row] > 0 {
            // All equals are pruned so far; rows past the last one to prune need another look.
            if ties[row] > left { starts[row] = left }
            left -= min(left, ties[row])
        }
        try eachRow(scores) { row, values, _ in
            guard let pruned = starts[row] else { return true }
            guard scores.fill(row, values) else { return false }
            _ = wn_select_above(values, scores.columns, bits, pruned, out + row * stride)
            return true
        }
        threshold.tiesToPrune = left
        return SparsityMask(rows: scores.rows, columns: scores.columns, bytes: StorageSlice(mask.freeze()))
    }

    // MARK: Rows

    private func maskByRow(
        _ scores: ScoredRows, _ select: (UnsafePointer<Float>, UnsafeMutablePointer<UInt8>) -> Bool
    ) throws(SelectionError) -> SparsityMask {
        let stride = WeightMatrix.maskStride(columns: scores.columns)
        let mask = Buffer<UInt8>(count: scores.rows * stride)
        let out = mask.base
        try eachRow(scores) { row, values, _ in
            scores.fill(row, values) && select(values, out + row * stride)
        }
        return SparsityMask(rows: scores.rows, columns: scores.columns, bytes: StorageSlice(mask.freeze()))
    }

    /// Calls `body` for every row with room for its scores, rows spread over the pool.
    ///
    /// - Throws: ``SelectionError/notFinite(name:row:)`` naming the first row for which `body` was false.
    private func eachRow(
        _ scores: ScoredRows,
        _ body: (_ row: Int, _ values: UnsafeMutablePointer<Float>, _ worker: Int) -> Bool
    ) throws(SelectionError) {
        let rowsAtOnce = max(1, 1 << 16 / scores.columns)
        var firstBad = [Int](repeating: .max, count: pool.threads)
        firstBad.withUnsafeMutableBufferPointer { firstBad in
            nonisolated(unsafe) let firstBad = firstBad
            pool.run(chunks: (scores.rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, worker in
                withUnsafeTemporaryAllocation(of: Float.self, capacity: scores.columns) { values in
                    for row in chunk * rowsAtOnce..<min(scores.rows, (chunk + 1) * rowsAtOnce) {
                        if !body(row, values.baseAddress!, worker) {
                            firstBad[worker] = min(firstBad[worker], row)
                        }
                    }
                }
            }
        }
        if let row = firstBad.min(), row != .max { throw .notFinite(name: scores.name, row: row) }
    }
}

/// The score below which weights are pruned, and how many of those equal to it are.
public struct SelectionThreshold: Sendable, Equatable {
    /// The score's bits in the order of values.
    package let orderedBits: UInt32
    package var tiesToPrune: Int

    package init(orderedBits: UInt32, tiesToPrune: Int) {
        self.orderedBits = orderedBits
        self.tiesToPrune = tiesToPrune
    }

    /// The score itself.
    public var score: Float {
        Float(bitPattern: orderedBits & 0x8000_0000 != 0 ? orderedBits ^ 0x8000_0000 : ~orderedBits)
    }
}

/// Why scores do not make a mask.
public enum SelectionError: Error, Equatable, Sendable, CustomStringConvertible {
    case notFinite(name: String, row: Int)

    public var description: String {
        switch self {
        case .notFinite(let name, let row):
            "\(name): a score of row \(row) is NaN or infinite: are the weights damaged?"
        }
    }
}
