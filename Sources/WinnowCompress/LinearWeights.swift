import CWinnow
import WinnowCore
import WinnowWeights

/// A layer in a method's hands: its weights as stored, and the mask that the method gives it.
public struct LinearWeights {
    /// The Hugging Face key.
    public let name: String
    public let matrix: WeightMatrix
    /// Workers for the method's own work.
    public let pool: KernelPool
    /// Kept weights: what the format said at first, less what the method pruned; nil when all are kept.
    public private(set) var mask: SparsityMask?

    public init(name: String, matrix: WeightMatrix, on pool: KernelPool) {
        self.name = name
        self.matrix = matrix
        self.pool = pool
        mask = matrix.mask
    }

    /// Prunes what the mask does not keep; what was pruned before stays so.
    public mutating func prune(_ mask: SparsityMask) {
        self.mask = self.mask.map { $0.intersection(mask) } ?? mask
    }

    /// Prunes by scores, as the target says, and reports it.
    ///
    /// - Throws: ``SelectionError`` when a score is NaN or infinite.
    public mutating func prune(by score: some SaliencyScore, _ target: inout LayerTarget) throws -> LayerReport {
        let selector = MaskSelector(on: pool)
        let scores = scoredRows(score)
        let mask: SparsityMask
        switch (target.goal.pattern, target.goal.scope) {
        case (.nOfM(let n, let m), _):
            mask = try selector.mask(scores, keeping: n, of: m)
        case (.unstructured, .row):
            mask = try selector.mask(
                scores, pruningInEachRow: target.goal.prunedInRow(columns: matrix.columns))
        case (.unstructured, .matrix):
            mask = try selector.mask(scores, pruning: target.goal.pruned(of: matrix.count))
        case (.unstructured, .global):
            guard var threshold = target.threshold else {
                preconditionFailure("\(name): a global goal without its threshold")
            }
            mask = try selector.mask(scores, under: &threshold)
            target.threshold = threshold
        }
        prune(mask)
        return LayerReport(self)
    }

    /// The layer's scores, row by row.
    package func scoredRows(_ score: some SaliencyScore) -> ScoredRows {
        let matrix = matrix
        return ScoredRows(name: name, rows: matrix.rows, columns: matrix.columns) { row, values in
            matrix.row(row, into: values)
            return score.score(UnsafeMutableBufferPointer(start: values, count: matrix.columns))
        }
    }
}
