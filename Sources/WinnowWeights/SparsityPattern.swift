/// Which weights of a matrix may be kept together.
///
/// N:M **keeps** N of each M consecutive weights of a row. Some reference code counts the pruned ones instead;
/// the two agree for 2:4 and 4:8 only. 1xN blocks go along a row: N consecutive inputs of one output.
public enum SparsityPattern: Sendable, Hashable {
    /// Any weights, counted over a ``SelectionScope``.
    case unstructured
    case nOfM(n: Int, m: Int)
    /// Blocks of so many consecutive weights of a row, kept or pruned whole, counted over a ``SelectionScope``.
    case blocks(columns: Int)

    /// The sparsity that the pattern itself says; nil where weights or blocks are counted.
    public var sparsity: Double? {
        guard case .nOfM(let n, let m) = self else { return nil }
        return 1 - Double(n) / Double(m)
    }

    /// Weights that are kept or pruned together.
    public var unit: Int { if case .blocks(let columns) = self { columns } else { 1 } }

    /// The widest group that is looked at.
    public static let largestGroup = 64
}

extension SparsityPattern: LosslessStringConvertible {
    /// `unstructured`, `2:4` (1 <= N < M <= 64), or `1x4` (blocks of 2 to 64 columns).
    public init?(_ description: String) {
        if description == "unstructured" {
            self = .unstructured
            return
        }
        if description.hasPrefix("1x") {
            guard let columns = Int(description.dropFirst(2)),
                (2...SparsityPattern.largestGroup).contains(columns)
            else { return nil }
            self = .blocks(columns: columns)
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
        case .blocks(let columns): "1x\(columns)"
        }
    }
}

/// Among which weights an unstructured method looks for the smallest.
public enum SelectionScope: String, Sendable, CaseIterable {
    /// Within each output row, floor(columns * sparsity) of it; of its blocks where they go whole.
    case row
    /// Within a matrix, round(weights * sparsity) of it.
    case matrix
    /// Over all prunable matrices together.
    case global
}
