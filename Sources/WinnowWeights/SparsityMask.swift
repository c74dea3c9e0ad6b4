import CWinnow
import WinnowCore

/// One bit for each weight of a matrix `[rows, columns]`, set when the weight is kept.
///
/// Rows are whole 64-bit words, little-endian, the layout that masked formats store; bits past the last column
/// are zero.
public struct SparsityMask: Sendable {
    public let rows: Int
    public let columns: Int
    /// The bits, rows ``rowBytes`` apart.
    public let bytes: StorageSlice

    /// - Precondition: the bytes are exactly the rows; bits past the last column are zero.
    package init(rows: Int, columns: Int, bytes: StorageSlice) {
        precondition(
            bytes.byteCount == rows * WeightMatrix.maskStride(columns: columns),
            "\(bytes.byteCount) bytes for a mask of [\(rows), \(columns)]")
        self.rows = rows
        self.columns = columns
        self.bytes = bytes
    }

    /// A mask from a rule, for tests and small masks.
    public init(rows: Int, columns: Int, isKept: (_ row: Int, _ column: Int) -> Bool) {
        let stride = WeightMatrix.maskStride(columns: columns)
        let storage = Storage(byteCount: rows * stride) { out in
            for row in 0..<rows {
                for column in 0..<columns where isKept(row, column) {
                    out[row * stride + column / 8] |= 1 << UInt8(column % 8)
                }
            }
        }
        self.init(rows: rows, columns: columns, bytes: StorageSlice(storage))
    }

    /// Bytes between rows.
    public var rowBytes: Int { WeightMatrix.maskStride(columns: columns) }
    public var count: Int { rows * columns }

    public var keptCount: Int { wn_popcount(row(0), bytes.byteCount) }
    public var prunedCount: Int { count - keptCount }
    /// Pruned weights of all.
    public var sparsity: Double { Double(prunedCount) / Double(count) }

    public func keptCount(row index: Int) -> Int { wn_popcount(row(index), rowBytes) }

    public subscript(row: Int, column: Int) -> Bool {
        precondition(row >= 0 && row < rows && column >= 0 && column < columns, "[\(row), \(column)]")
        return self.row(row)[column / 8] >> UInt8(column % 8) & 1 == 1
    }

    /// The bits of one row.
    package func row(_ index: Int) -> UnsafePointer<UInt8> {
        (bytes.base + index * rowBytes).assumingMemoryBound(to: UInt8.self)
    }

    /// Columns in which any row keeps a weight, ascending.
    package func keptColumns() -> [Int32] {
        var any = [UInt64](repeating: 0, count: rowBytes / 8)
        for row in 0..<rows {
            for word in any.indices {
                any[word] |= bytes.bytes.loadUnaligned(
                    fromByteOffset: row * rowBytes + word * 8, as: UInt64.self)
            }
        }
        return (0..<columns).filter { any[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }.map { Int32($0) }
    }

    // MARK: Blocks

    /// A mask from one bit for each four columns of a row, rows of whole 64-bit words.
    init(rows: Int, columns: Int, blocksOfFour blocks: StorageSlice) {
        let stride = WeightMatrix.maskStride(columns: columns)
        let blockStride = WeightMatrix.maskStride(columns: columns / 4)
        let storage = Storage(byteCount: rows * stride) { out in
            for row in 0..<rows {
                for word in 0..<stride / 8 {
                    let bits = blocks.bytes.loadUnaligned(
                        fromByteOffset: row * blockStride + word * 2, as: UInt16.self)
                    var x = UInt64(bits)
                    x = (x | x << 24) & 0x0000_00FF_0000_00FF
                    x = (x | x << 12) & 0x000F_000F_000F_000F
                    x = (x | x << 6) & 0x0303_0303_0303_0303
                    x = (x | x << 3) & 0x1111_1111_1111_1111
                    out.storeBytes(of: x * 15, toByteOffset: row * stride + word * 8, as: UInt64.self)
                }
            }
        }
        self.init(rows: rows, columns: columns, bytes: StorageSlice(storage))
    }

    /// A bit for each four columns of a row, set when any of them is kept.
    func blocksOfFour() -> StorageSlice {
        let blockStride = WeightMatrix.maskStride(columns: columns / 4)
        let storage = Storage(byteCount: rows * blockStride) { out in
            for row in 0..<rows {
                for word in 0..<rowBytes / 8 {
                    var x = bytes.bytes.loadUnaligned(
                        fromByteOffset: row * rowBytes + word * 8, as: UInt64.self)
                    x |= x >> 1
                    x = (x | x >> 2) & 0x1111_1111_1111_1111
                    x = (x | x >> 3) & 0x0303_0303_0303_0303
                    x = (x | x >> 6) & 0x000F_000F_000F_000F
                    x = (x | x >> 12) & 0x0000_00FF_0000_00FF
                    x |= x >> 24
                    out.storeBytes(
                        of: UInt16(truncatingIfNeeded: x), toByteOffset: row * blockStride + word * 2,
                        as: UInt16.self)
                }
            }
        }
        return StorageSlice(storage)
    }

    /// Each weight as `unit` weights of a row beside each other.
    package func spread(by unit: Int) -> SparsityMask {
        guard unit > 1 else { return self }
        guard unit != 4 else { return SparsityMask(rows: rows, columns: 4 * columns, blocksOfFour: bytes) }
        return SparsityMask(rows: rows, columns: unit * columns) { self[$0, $1 / unit] }
    }

    /// Whether each `unit` weights of a row beside each other are kept or pruned together.
    public func keepsBlocks(of unit: Int) -> Bool {
        guard columns % unit == 0 else { return false }
        return (0..<rows).allSatisfy { row in
            stride(from: 0, to: columns, by: unit).allSatisfy { start in
                (start + 1..<start + unit).allSatisfy { self[row, $0] == self[row, start] }
            }
        }
    }

    // MARK: Two masks

    /// What both keep.
    public func intersection(_ other: SparsityMask) -> SparsityMask { combined(with: other, &) }

    /// What either keeps.
    public func union(_ other: SparsityMask) -> SparsityMask { combined(with: other, |) }

    /// Whether nothing is kept that `other` prunes.
    public func isSubset(of other: SparsityMask) -> Bool { intersection(other) == self }

    /// Weights that are kept in one and pruned in the other.
    public func flips(from other: SparsityMask) -> Int { combined(with: other, ^).keptCount }

    /// Kept by both, over kept by either; 1 for two empty masks.
    public func jaccard(_ other: SparsityMask) -> Double {
        let either = union(other).keptCount
        return either == 0 ? 1 : Double(intersection(other).keptCount) / Double(either)
    }

    private func combined(with other: SparsityMask, _ operation: (UInt64, UInt64) -> UInt64) -> SparsityMask {
        precondition(
            rows == other.rows && columns == other.columns,
            "masks of [\(rows), \(columns)] and [\(other.rows), \(other.columns)]")
        let storage = Storage(byteCount: bytes.byteCount) { out in
            for offset in stride(from: 0, to: bytes.byteCount, by: 8) {
                let word = operation(
                    bytes.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
                    other.bytes.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                out.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
            }
        }
        return SparsityMask(rows: rows, columns: columns, bytes: StorageSlice(storage))
    }

    // MARK: Checks

    /// Whether each group of `m` consecutive weights of every row keeps at most `n`.
    public func keeps(atMost n: Int, of m: Int) -> Bool {
        for row in 0..<rows {
            for start in stride(from: 0, to: columns, by: m) {
                var kept = 0
                for column in start..<min(start + m, columns) where self[row, column] { kept += 1 }
                if kept > n { return false }
            }
        }
        return true
    }

    /// SHA-256 of the bits, 64 hexadecimal digits.
    ///
    /// - Parameter rowOrder: rows in this order instead: a file may keep another (rotary positions).
    public func sha256(rowOrder: [Int]? = nil) -> String {
        guard let rowOrder else { return SHA256.hexadecimal(of: bytes.bytes) }
        var hash = SHA256()
        for index in rowOrder { hash.add(UnsafeRawBufferPointer(start: row(index), count: rowBytes)) }
        return hash.hexadecimal()
    }
}

extension SparsityMask: Equatable {
    public static func == (left: SparsityMask, right: SparsityMask) -> Bool {
        left.rows == right.rows && left.columns == right.columns
            && left.bytes.bytes.elementsEqual(right.bytes.bytes)
    }
}
