import WinnowCore
import WinnowWeights

/// What the columns that stay take over from those that go: W' = W G[:, S] (G[S, S] + damping)^-1, which brings the
/// outputs over the calibration text as close as can be (least squares).
struct OutputReconstruction {
    let damping: Double

    /// - Parameter weights: `[rows, columns]`.
    /// - Parameter gram: X^T X of the inputs, all columns.
    /// - Returns: `[rows, kept.count]`.
    /// - Throws: ``FactorisationError`` when raised damping does not help.
    func weights(
        _ weights: [Float], columns: Int, keeping kept: [Int], gram: GramMatrix, on pool: KernelPool
    ) throws(FactorisationError) -> [Float] {
        let rows = weights.count / columns
        let order = kept.count
        let dropped = Set(0..<columns).subtracting(kept).sorted()
        func cell(_ a: Int, _ b: Int) -> Double { gram[a, b] }
        let inverse = try inverseFactor(order: order, pool) { cell(kept[$0], kept[$1]) }
        // Only what is dropped has to be made up for: W' = W[:, S] + W[:, D] G[D, S] (G[S, S] + damping)^-1.
        var cross = [Double](repeating: 0, count: dropped.count * order)
        for (place, channel) in dropped.enumerated() {
            for (column, other) in kept.enumerated() { cross[place * order + column] = cell(channel, other) }
        }
        let solved = RowProducts(inverse: inverse, order: order)
        var result = [Float](repeating: 0, count: rows * order)
        result.withUnsafeMutableBufferPointer { result in
            nonisolated(unsafe) let result = result
            let cross = cross
            pool.run(chunks: rows) { row, _ in
                var target = [Double](repeating: 0, count: order)
                for (place, channel) in dropped.enumerated() {
                    let weight = Double(weights[row * columns + channel])
                    guard weight != 0 else { continue }
                    for column in 0..<order { target[column] += weight * cross[place * order + column] }
                }
                solved.apply(&target)
                for (column, channel) in kept.enumerated() {
                    result[row * order + column] = Float(
                        Double(weights[row * columns + channel]) + target[column])
                }
            }
        }
        return result
    }

    /// L^-1 with A = L L^T, of A with damping times its mean diagonal; raised tenfold, three times at most.
    private func inverseFactor(
        order: Int, _ pool: KernelPool, _ cell: (Int, Int) -> Double
    ) throws(FactorisationError) -> Buffer<Double> {
        let mean = (0..<order).reduce(0.0) { $0 + cell($1, $1) } / Double(order)
        var raised = damping
        while true {
            var matrix = Buffer<Double>(count: order * order)
            matrix.withMutableElements { matrix in
                for row in 0..<order {
                    for column in 0...row { matrix[row * order + column] = cell(row, column) }
                    matrix[row * order + row] += raised * (mean > 0 ? mean : 1)
                }
            }
            do throws(FactorisationError) {
                try Cholesky.factor(&matrix, order: order, on: pool)
                Cholesky.invert(lower: &matrix, order: order, on: pool)
                return matrix
            } catch {
                guard damping > 0, raised < damping * 500 else { throw error }
                raised *= 10
            }
        }
    }
}

/// Multiplies a row by (L L^T)^-1 = L^-T L^-1.
private struct RowProducts: Sendable {
    let inverse: [Double]
    let order: Int

    init(inverse: consuming Buffer<Double>, order: Int) {
        self.inverse = inverse.withElements { Array($0) }
        self.order = order
    }

    func apply(_ row: inout [Double]) {
        // y = L^-1 row, then x = L^-T y.
        var y = [Double](repeating: 0, count: order)
        inverse.withUnsafeBufferPointer { inverse in
            for i in 0..<order {
                var sum = 0.0
                for j in 0...i { sum += inverse[i * order + j] * row[j] }
                y[i] = sum
            }
            for j in 0..<order { row[j] = 0 }
            for i in 0..<order {
                let value = y[i]
                for j in 0...i { row[j] += inverse[i * order + j] * value }
            }
        }
    }
}
