import CWinnow
import WinnowCore
import WinnowWeights

/// A layer in a method's hands: its weights as stored, and what the method makes of them.
public struct LinearWeights {
    /// The Hugging Face key.
    public let name: String
    /// The weights as they were given.
    public let matrix: WeightMatrix
    /// How the layer will be stored.
    public let form: StoredForm
    /// Workers for the method's own work.
    public let pool: KernelPool
    /// Kept weights: what the format said at first, less what the method pruned; nil when all are kept.
    public private(set) var mask: SparsityMask?
    /// New values of the weights that stay, dense; nil when they are as they were.
    public private(set) var replacement: WeightMatrix?

    public init(name: String, matrix: WeightMatrix, form: StoredForm = .source, on pool: KernelPool) {
        self.name = name
        self.matrix = matrix
        self.form = form
        self.pool = pool
        mask = matrix.mask
        // Formats of plain numbers have no mask: many exact zeros were pruned, and stay so; a few came about by chance.
        if mask == nil, matrix.format.isFloat, matrix.zeros(on: pool) * 20 >= matrix.count {
            mask = matrix.nonzeros(on: pool)
        }
    }

    /// Prunes what the mask does not keep; what was pruned before stays so.
    public mutating func prune(_ mask: SparsityMask) {
        self.mask = self.mask.map { $0.intersection(mask) } ?? mask
    }

    /// Gives the weights that stay new values: float32, or a format whose codes are to be kept as they are.
    ///
    /// - Parameter mask: what else is pruned.
    public mutating func replace(with matrix: WeightMatrix, mask: SparsityMask? = nil) {
        precondition(
            matrix.rows == self.matrix.rows && matrix.columns == self.matrix.columns,
            "\(name) is [\(self.matrix.rows), \(self.matrix.columns)], not [\(matrix.rows), \(matrix.columns)]"
        )
        replacement = matrix
        if let mask { prune(mask) }
    }

    /// The codes that stored weights will have, for solvers that round as they go; nil where plain numbers are stored.
    public func targetGrid() -> QuantGrid? { form.grid(of: matrix, on: pool) }

    /// Prunes by scores, as the target says, and reports it.
    ///
    /// - Throws: ``SelectionError`` when a score is NaN or infinite.
    public mutating func prune(by score: some SaliencyScore, _ target: inout LayerTarget) throws
        -> LayerReport
    {
        prune(try choose(by: score, &target))
        return LayerReport(self)
    }

    /// The mask that scores make, as the target says.
    ///
    /// - Throws: ``SelectionError`` when a score is NaN or infinite; `WeightError/unevenBlocks`.
    func choose(by score: some SaliencyScore, _ target: inout LayerTarget) throws -> SparsityMask {
        let selector = MaskSelector(on: pool)
        let unit = target.goal.pattern.unit
        let scores = try scoredRows(score, inBlocksOf: unit)
        if case .nOfM(let n, let m) = target.goal.pattern {
            return try selector.mask(scores, keeping: n, of: m)
        }
        switch target.goal.scope {
        case .row:
            return try selector.mask(
                scores, pruningInEachRow: target.goal.prunedInRow(columns: matrix.columns / unit)
            ).spread(by: unit)
        case .matrix:
            return try selector.mask(scores, pruning: target.goal.pruned(of: matrix.count / unit)).spread(
                by: unit)
        case .global:
            guard var threshold = target.threshold else {
                preconditionFailure("\(name): a global goal without its threshold")
            }
            let mask = try selector.mask(scores, under: &threshold)
            target.threshold = threshold
            return mask.spread(by: unit)
        }
    }

    /// The layer's scores, row by row, of blocks of so many columns.
    ///
    /// - Throws: `WeightError/unevenBlocks` for a width that blocks do not divide.
    package func scoredRows(_ score: some SaliencyScore, inBlocksOf unit: Int = 1) throws(WeightError)
        -> ScoredRows
    {
        let matrix = matrix
        try checkBlocks(of: unit)
        let rows = ScoredRows(name: name, rows: matrix.rows, columns: matrix.columns) { row, values in
            matrix.row(row, into: values)
            return score.score(UnsafeMutableBufferPointer(start: values, count: matrix.columns))
        }
        return rows.blocks(of: unit)
    }

    /// - Throws: `WeightError/unevenBlocks`.
    func checkBlocks(of unit: Int) throws(WeightError) {
        guard matrix.columns % unit == 0 else {
            throw .unevenBlocks(name: name, columns: matrix.columns, blockWidth: unit)
        }
    }
}
