import WinnowWeights

/// What became of one layer.
public struct LayerReport: Sendable, Equatable {
    public let name: String
    public let rows: Int
    public let columns: Int
    /// Weights that the mask prunes.
    public let pruned: Int
    /// Weights that are exactly zero: the pruned, and those that were or rounded to zero.
    public internal(set) var zeros = 0
    /// Rows that lost every weight.
    public let emptyRows: Int
    public internal(set) var formatBefore: String
    public internal(set) var format: String
    public internal(set) var bytesBefore: Int
    public internal(set) var bytes: Int
    /// SHA-256 of the mask as the written model has it.
    public internal(set) var maskSHA256 = ""
    /// What the method measured of its own work, under the names that `winnow.json` has.
    public private(set) var figures: [Figure] = []

    public struct Figure: Sendable, Equatable {
        public let name: String
        public let value: Double
    }

    mutating func add(_ name: String, _ value: Double) { figures.append(Figure(name: name, value: value)) }

    public subscript(figure name: String) -> Double? { figures.first { $0.name == name }?.value }

    init(_ layer: LinearWeights) {
        name = layer.name
        rows = layer.matrix.rows
        columns = layer.matrix.columns
        pruned = layer.mask?.prunedCount ?? 0
        emptyRows = layer.mask.map { mask in (0..<mask.rows).count { mask.keptCount(row: $0) == 0 } } ?? 0
        formatBefore = layer.matrix.format.name
        format = formatBefore
        bytesBefore = layer.matrix.byteCount
        bytes = bytesBefore
    }

    public var count: Int { rows * columns }
    public var sparsity: Double { Double(zeros) / Double(count) }

    /// Whether the mask made the matrix larger than it was.
    public var grew: Bool { bytes > bytesBefore }
}
