import CWinnow
import WinnowWeights

/// One parameter as an optimizer sees it: values and gradients `[rows, columns]`, and which weights are kept.
///
/// Borrowed memory: valid inside the closure that gave the pointers. Vectors have one row.
public struct ParameterSlot {
    public let rows: Int
    public let columns: Int
    public let values: UnsafeMutablePointer<Float>
    /// Read; Adafactor zeroes those of pruned weights in place, since its sums go over whole rows.
    public let gradients: UnsafeMutablePointer<Float>
    public let mask: SparsityMask?

    public init(
        values: UnsafeMutableBufferPointer<Float>, gradients: UnsafeMutableBufferPointer<Float>, rows: Int,
        columns: Int, mask: SparsityMask? = nil
    ) {
        precondition(
            rows > 0 && columns > 0 && values.count == rows * columns && gradients.count == values.count,
            "\(values.count) values and \(gradients.count) gradients of [\(rows), \(columns)]")
        precondition(
            mask.map { $0.rows == rows && $0.columns == columns } ?? true,
            "a mask of \(mask.map { "[\($0.rows), \($0.columns)]" } ?? "") for [\(rows), \(columns)]")
        self.rows = rows
        self.columns = columns
        self.values = values.baseAddress!
        self.gradients = gradients.baseAddress!
        self.mask = mask
    }

    public var count: Int { rows * columns }
}

/// A run of weights of one row, with their state: what rules and hooks work on.
public struct OptimizerTile {
    public var values: UnsafeMutablePointer<Float>
    public var gradients: UnsafePointer<Float>
    /// First moment, velocity; nil for rules without.
    public var first: UnsafeMutablePointer<Float>?
    public var second: UnsafeMutablePointer<Float>?
    /// The mask's bits of these weights, whole 64-bit words; nil keeps all.
    public var bits: UnsafePointer<UInt8>?
    public var count: Int
}

/// How a parameter is cut into runs for the pool: a chunk is some rows, or a part of one long row.
struct TileGrid {
    static let chunkElements = 1 << 14
    /// What hooks and packed state work on at once: stays in the first cache.
    static let tileElements = 1024

    let rows: Int
    let columns: Int
    private let rowsPerChunk: Int
    private let piecesPerRow: Int

    /// Without a mask the rows do not matter: one long row.
    init(rows: Int, columns: Int, byRow: Bool) {
        self.rows = byRow ? rows : 1
        self.columns = byRow ? columns : rows * columns
        piecesPerRow = (self.columns + Self.chunkElements - 1) / Self.chunkElements
        rowsPerChunk = max(1, Self.chunkElements / self.columns)
    }

    var chunks: Int { (rows + rowsPerChunk - 1) / rowsPerChunk * piecesPerRow }

    /// Calls `body` with each row of a chunk and the columns of it.
    func forEachRun(of chunk: Int, _ body: (_ row: Int, _ columns: Range<Int>) -> Void) {
        let first = chunk / piecesPerRow * rowsPerChunk, piece = chunk % piecesPerRow
        let start = piece * Self.chunkElements, end = min(columns, start + Self.chunkElements)
        for row in first..<min(rows, first + rowsPerChunk) { body(row, start..<end) }
    }
}
