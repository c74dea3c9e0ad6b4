import WinnowCore
import WinnowModels
import WinnowWeights

/// Raises the sparsity of each matrix along a schedule while training goes on: the smallest weights are
/// pruned, a few at a time, and what is pruned stays pruned.
///
/// At every `every`-th step of the schedule's time keeps max(1, round(N (1 - s))) of a matrix's N weights.
///
/// - Source: Zhu and Gupta, arXiv 1710.01878; the schedule there is the cubic.
/// - Departure: exact counts, equal magnitudes by lowest index; the paper's threshold prunes or keeps all
///   equals.
public struct GradualPruning: MaskUpdater, Equatable {
    /// Sparsity by step.
    public var sparsity: ScalarSchedule
    /// Steps between changes.
    public var every: Int
    /// The first step that changes a mask, and the last.
    public var begin: Int
    public var end: Int

    /// - Parameter end: at this step the sparsity is `to`, whatever `every` says.
    public init(from: Double = 0, to: Double, begin: Int, end: Int, every: Int) {
        precondition(
            every > 0 && end > begin && begin >= 0, "pruning from step \(begin) to \(end), each \(every)")
        sparsity = .cubic(from: from, to: to, begin: begin, end: end)
        self.every = every
        self.begin = begin
        self.end = end
    }

    public func update(
        _ parameter: ParameterTraining, step: Int, of total: Int, on pool: KernelPool
    ) throws(SelectionError) -> MaskChange? {
        guard step >= begin, step <= end, step == end || (step - begin) % every == 0 else { return nil }
        let kept = max(
            1, Int((Double(parameter.count) * (1 - sparsity.value(at: step, of: total))).rounded()))
        let old = parameter.mask
        guard kept < old?.keptCount ?? parameter.count else { return nil }
        let new = try MaskSelector(on: pool).mask(
            parameter.magnitudes(prunedAt: -1), pruning: parameter.count - kept)
        return MaskChange(from: old, to: new)
    }
}

extension ParameterTraining {
    /// |w| of every weight; of pruned ones `below`, so that they are the first to go.
    package func magnitudes(prunedAt below: Float) -> ScoredRows {
        let base = UInt(bitPattern: values.baseAddress!)
        let (columns, mask) = (columns, mask)
        return ScoredRows(name: name, rows: rows, columns: columns) { row, scores in
            let weights = UnsafePointer<Float>(bitPattern: base)! + row * columns
            var isFinite = true
            for column in 0..<columns {
                scores[column] = abs(weights[column])
                isFinite = isFinite && scores[column].isFinite
            }
            if let mask { for column in 0..<columns where !mask[row, column] { scores[column] = below } }
            return isFinite
        }
    }
}
