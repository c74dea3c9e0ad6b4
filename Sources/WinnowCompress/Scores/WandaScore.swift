import CWinnow

/// Scores each weight by its magnitude times the norm of the input column it multiplies.
///
/// S[i, j] = |W[i, j]| * ||X[:, j]||_2.
///
/// - Source: Wanda, arXiv 2306.11695, equation 1.
public struct WandaScore: SaliencyScore {
    private let columnNorms: [Float]

    /// - Parameter columnNorms: one for each column, from ``ActivationStatistics/columnNorms``.
    public init(columnNorms: [Float]) { self.columnNorms = columnNorms }

    public func score(_ row: UnsafeMutableBufferPointer<Float>) -> Bool {
        precondition(row.count == columnNorms.count, "\(columnNorms.count) norms for \(row.count) columns")
        return columnNorms.withUnsafeBufferPointer { wn_saliency(row.baseAddress, $0.baseAddress, row.count) }
    }
}
