/// What is dropped whole, so that matrices get smaller and nothing is stored in its place.
public enum Structure: String, Sendable, CaseIterable {
    /// Of the feed-forward networks: rows of gate and up, columns of down.
    case neurons
    /// Of attention: heads of keys and values, each with the heads of queries that read it.
    case heads
    /// Blocks.
    case layers
}

/// Why a structure cannot be dropped from a model.
public enum StructureError: Error, Equatable, Sendable, CustomStringConvertible {
    case badFraction(Double)
    case nothingToDrop(Structure, have: Int, fraction: Double)
    case unsupported(Structure, architecture: String, reason: String)

    public var description: String {
        switch self {
        case .badFraction(let fraction):
            "the fraction to drop is \(fraction); expected more than 0 and less than 1"
        case .nothingToDrop(let structure, let have, let fraction):
            "\(fraction) of \(have) \(structure.rawValue) is less than one that can go: ask for more, or for another structure"
        case .unsupported(let structure, let architecture, let reason):
            "\(structure.rawValue) of a model of architecture '\(architecture)' are not dropped: \(reason)"
        }
    }
}
