/// SM3 on a sparse set of trained weights: one bound a row and one a column, of active entries only.
///
/// - Source: SpIEL, arXiv 2401.16405, moment approximation; SM3-II, arXiv 1901.11150.
public struct IndexedSM3: Sendable, Equatable {
    public private(set) var rowBounds: [Float]
    public private(set) var columnBounds: [Float]

    public init(rows: Int, columns: Int) {
        rowBounds = [Float](repeating: 0, count: rows)
        columnBounds = [Float](repeating: 0, count: columns)
    }

    /// A step on the entries at `indices` (row-major). Momentum is not kept.
    public mutating func step(
        _ rule: SM3, indices: [Int32], values: UnsafeMutableBufferPointer<Float>,
        gradients: UnsafeBufferPointer<Float>, rate: Double, scale: Float = 1
    ) {
        precondition(rule.momentum == 0, "a sparse set has no momentum under SM3")
        precondition(values.count == indices.count && gradients.count == indices.count)
        let constants = rule.constants(rate: rate, scale: scale, decays: true)
        let columns = columnBounds.count
        // Bounds of the step before hold for the whole step.
        let rowsBefore = rowBounds, columnsBefore = columnBounds
        for (place, index) in indices.enumerated() {
            let row = Int(index) / columns, column = Int(index) % columns
            let gradient = gradients[place] * constants.scale
            let nu = min(rowsBefore[row], columnsBefore[column]) + gradient * gradient
            let update = nu > 0 ? gradient / (nu + constants.epsilon).squareRoot() : 0
            values[place] = values[place] * constants.keep - update * constants.rate
            rowBounds[row] = max(rowBounds[row], nu)
            columnBounds[column] = max(columnBounds[column], nu)
        }
    }

    /// How much an entry that is not in the set may matter: row bound times column bound.
    public func score(_ index: Int32) -> Float {
        rowBounds[Int(index) / columnBounds.count] * columnBounds[Int(index) % columnBounds.count]
    }
}
