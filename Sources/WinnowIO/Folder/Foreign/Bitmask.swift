import CWinnow
import WinnowCore

/// Which weights of a matrix are kept, in compressed-tensors' layout: rows of whole bytes, the lowest bit
/// first.
struct Bitmask: Sendable {
    let rows: Int
    let columns: Int
    let bytes: StorageSlice
    /// Kept weights before each row, and of all at the end.
    let starts: [Int]

    private var rowBytes: Int { (columns + 7) / 8 }

    /// - Parameter name: what errors call the matrix.
    /// - Throws: ``CheckpointError`` for a length that is not the shape's, or a bit past the last column.
    init(rows: Int, columns: Int, _ bytes: StorageSlice, name: String, file: String) throws(CheckpointError) {
        self.rows = rows
        self.columns = columns
        self.bytes = bytes
        let rowBytes = (columns + 7) / 8
        guard bytes.byteCount == rows * rowBytes else {
            throw .badPart(
                file: file, tensor: name,
                reason:
                    "has \(bytes.byteCount) bytes for a mask of [\(rows), \(columns)], which takes \(rows * rowBytes)"
            )
        }
        var starts = [0]
        starts.reserveCapacity(rows + 1)
        let past = UInt8(truncatingIfNeeded: 0xFF << ((columns - 1) % 8 + 1))
        for row in 0..<rows {
            let start = bytes.base + row * rowBytes
            guard start.load(fromByteOffset: rowBytes - 1, as: UInt8.self) & past == 0 else {
                throw .badPart(
                    file: file, tensor: name, reason: "has bits past the last column in row \(row)")
            }
            starts.append(starts[row] + wn_popcount(start, rowBytes))
        }
        self.starts = starts
    }

    var keptCount: Int { starts[rows] }

    /// Writes rows `range` with zeros in the places of the others, `size` bytes a weight.
    func expand(_ range: Range<Int>, _ kept: StorageSlice, size: Int, into out: UnsafeMutableRawPointer) {
        for row in range {
            _ = wn_expand_row(
                (bytes.base + row * rowBytes).assumingMemoryBound(to: UInt8.self),
                kept.base + starts[row] * size, size,
                columns, out + (row - range.lowerBound) * columns * size)
        }
    }

    /// The mask in rows of whole 64-bit words, as our masked formats have it.
    func words() -> StorageSlice {
        let stride = (columns + 63) / 64 * 8
        if stride == rowBytes { return bytes.aligned(to: 8) }
        return StorageSlice(
            Storage(byteCount: rows * stride) { out in
                for row in 0..<rows {
                    UnsafeMutableRawBufferPointer(rebasing: out[row * stride..<row * stride + rowBytes])
                        .copyMemory(
                            from: UnsafeRawBufferPointer(
                                rebasing: bytes.bytes[row * rowBytes..<(row + 1) * rowBytes]))
                }
            })
    }

    /// Where each row's values of `size` bytes begin, and the end; nil past 4 GiB.
    func offsets(size: Int) -> StorageSlice? {
        guard keptCount * size <= UInt32.max else { return nil }
        return StorageSlice(copying: starts.map { UInt32($0 * size) })
    }
}
