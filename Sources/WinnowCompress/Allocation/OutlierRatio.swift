import WinnowCore
import WinnowWeights

/// The share of scores that are far above their mean.
package enum OutlierRatio {
    /// - Parameter scores: of all layers of a block, taken as one.
    /// - Parameter threshold: times the mean.
    /// - Throws: ``SelectionError/notFinite(name:row:)``.
    package static func of(_ scores: [ScoredRows], above threshold: Double, on pool: KernelPool) throws
        -> Double
    {
        let total = scores.reduce(0) { $0 + $1.rows * $1.columns }
        let sum = try reduce(scores, on: pool) { values in
            var sum = 0.0
            for value in values { sum += Double(value) }
            return sum
        }
        let limit = Float(sum / Double(total) * threshold)
        let above = try reduce(scores, on: pool) { values in
            var count = 0
            for value in values where value > limit { count += 1 }
            return Double(count)
        }
        return above / Double(total)
    }

    /// The sum over rows of what `body` says of each, in the order of rows.
    private static func reduce(
        _ all: [ScoredRows], on pool: KernelPool, _ body: (UnsafeBufferPointer<Float>) -> Double
    ) throws -> Double {
        var sum = 0.0
        for scores in all {
            var parts = [Double](repeating: 0, count: scores.rows)
            parts.withUnsafeMutableBufferPointer { parts in
                nonisolated(unsafe) let parts = parts
                pool.run(chunks: (scores.rows + 31) / 32) { chunk, _ in
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: scores.columns) { values in
                        for row in chunk * 32..<min(chunk * 32 + 32, scores.rows) {
                            parts[row] =
                                scores.fill(row, values.baseAddress!)
                                ? body(UnsafeBufferPointer(values)) : .nan
                        }
                    }
                }
            }
            if let row = parts.firstIndex(where: \.isNaN) {
                throw SelectionError.notFinite(name: scores.name, row: row)
            }
            sum += parts.reduce(0, +)
        }
        return sum
    }
}
