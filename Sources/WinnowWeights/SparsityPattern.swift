/// Which weights of a matrix may be kept together.
///
/// N:M **keeps** N of each M consecutive weights of a row. Some reference code counts the pruned ones instead;
/// the two agree for 2:4 and 4:8 only.
public enum SparsityPattern: Sendable, Hashable {
    /// Any weights, counted over a ``SelectionScope``.
    case unstructured
    case nOfM(n: Int, m: Int)

    /// The sparsity that the pattern itself says; nil for unstructured.
    public var sparsity: Double? {
        guard case .nOfM(let n, let m) = self else { return nil }
        return 1 - Double(n) / Double(m)
    }

    /// The widest group that is looked at.
    public static let largestGroup = 64
}

extension SparsityPattern: LosslessStringConvertible {
    /// `unstructured`, or `2:4`: 1 <= N < M <= 64.
    public init?(_ description: String) {
        if description == "unstructured" {
            self = .unstructured
            return
        }
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let n = Int(parts[0]), let m = Int(parts[1]), n >= 1, n < m,
            m <= SparsityPattern.largestGroup
        else { return nil }
        self = .nOfM(n: n, m: m)
    }

    public var description: String {
        switch self {
        case .unstructured: "unstructured"
        case .nOfM(let n, let m): "\(n):\(m)"
        }
    }
}

/// Among which weights an unstructured method looks for the smallest.
public enum SelectionScope: String, Sendable, CaseIterable {
    /// Within each output row, floor(columns * sparsity) of it.
    case row
    /// Within a matrix, round(weights * sparsity) of it.
    case matrix
    /// Over all prunable matrices together.
    case global
}
