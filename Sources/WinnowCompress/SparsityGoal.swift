import WinnowWeights

/// How sparse the model is to become, and among which weights a method may choose.
public struct SparsityGoal: Sendable, Hashable {
    /// The share of zeros, 0 up to, but not including, 1.
    public let sparsity: Double
    public let pattern: SparsityPattern
    /// Where weights or blocks are counted; an N:M pattern has none.
    public let scope: SelectionScope

    /// - Throws: ``ConfigurationError`` with the key's name.
    public init(sparsity: Double, pattern: SparsityPattern, scope: SelectionScope) throws(ConfigurationError)
    {
        let sparsity = pattern.sparsity ?? sparsity
        guard sparsity >= 0, sparsity < 1 else {
            throw .badValue(
                key: "sparsity", value: "\(sparsity)",
                expected: "a share of zeros from 0 up to, not including, 1")
        }
        self.sparsity = sparsity
        self.pattern = pattern
        self.scope = scope
    }

    /// Whether the pattern leaves open how sparse each layer is.
    public var isCounted: Bool { pattern.sparsity == nil }

    /// Zeros of a row under ``SelectionScope/row``: floor(columns * sparsity).
    public func prunedInRow(columns: Int) -> Int { Int((Double(columns) * sparsity).rounded(.down)) }

    /// Zeros among `count` weights of a matrix or of the model: round(count * sparsity).
    public func pruned(of count: Int) -> Int { Int((Double(count) * sparsity).rounded()) }

    /// `2:4`, `0.5 by row`, or `1x4, 0.5 by row`.
    public var summary: String {
        guard isCounted else { return pattern.description }
        return (pattern == .unstructured ? "" : "\(pattern), ") + "\(sparsity) by \(scope.rawValue)"
    }
}
