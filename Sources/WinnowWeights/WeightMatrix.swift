import CWinnow
import WinnowCore

/// A weight matrix `[rows, columns]` in the format its file holds: immutable, run in place.
///
/// Row r makes output r. Products read it through ``ProductGroup``; single rows (tied embeddings) come out
/// with ``row(_:into:)``.
public final class WeightMatrix: Sendable {
    /// The arrays a format is made of; dense formats without scales of their own have only `values`.
    public struct Parts: Sendable {
        public var values: StorageSlice
        public var mask: StorageSlice?
        public var rowOffsets: StorageSlice?
        public var scales: StorageSlice?

        public init(
            values: StorageSlice, mask: StorageSlice? = nil, rowOffsets: StorageSlice? = nil,
            scales: StorageSlice? = nil
        ) {
            self.values = values
            self.mask = mask
            self.rowOffsets = rowOffsets
            self.scales = scales
        }

        /// Bytes of all arrays.
        public var byteCount: Int {
            values.byteCount + (mask?.byteCount ?? 0) + (rowOffsets?.byteCount ?? 0)
                + (scales?.byteCount ?? 0)
        }
    }

    public let format: WeightFormat
    public let rows: Int
    public let columns: Int
    /// Columns a scale covers in int4 formats, 0 in others.
    public let group: Int
    public let parts: Parts
    private let descriptorStorage: Storage

    /// Checks the arrays against each other; nothing is copied.
    ///
    /// - Parameter name: what errors call the matrix.
    /// - Throws: ``WeightError`` when a width, a length, a mask or a row offset is wrong.
    public convenience init(
        format: WeightFormat, rows: Int, columns: Int, group: Int = 0, parts: Parts, name: String
    ) throws(WeightError) {
        guard rows > 0, columns > 0, rows <= 1 << 31, columns <= 1 << 24 else {
            throw .badShape(name: name, rows: rows, columns: columns)
        }
        guard columns % format.blockWidth == 0 else {
            throw .unevenBlocks(name: name, columns: columns, blockWidth: format.blockWidth)
        }
        if format.scales == .group {
            guard [32, 64, 128].contains(group) else { throw .badGroup(name: name, group: group) }
        }
        let isTwoOfFour = try WeightMatrix.check(
            format: format, rows: rows, columns: columns, group: group, parts, name)
        self.init(
            unchecked: format, rows: rows, columns: columns, group: group, parts: parts,
            isTwoOfFour: isTwoOfFour)
    }

    init(
        unchecked format: WeightFormat, rows: Int, columns: Int, group: Int, parts: Parts, isTwoOfFour: Bool
    ) {
        self.format = format
        self.rows = rows
        self.columns = columns
        self.group = format.scales == .group ? group : 0
        self.parts = parts
        var descriptor = wn_matrix()
        descriptor.format = Int32(format.code.rawValue)
        descriptor.group = UInt32(self.group)
        descriptor.rows = rows
        descriptor.columns = columns
        descriptor.values = parts.values.base.assumingMemoryBound(to: UInt8.self)
        descriptor.row_bytes = format.isMasked ? 0 : format.rowBytes(columns: columns)
        descriptor.values_end = descriptor.values + parts.values.byteCount
        descriptor.mask = parts.mask?.base.assumingMemoryBound(to: UInt8.self)
        descriptor.mask_stride = format.isMasked ? format.maskStride(columns: columns) : 0
        descriptor.two_of_four = isTwoOfFour
        descriptor.row_offsets = parts.rowOffsets?.base.assumingMemoryBound(to: UInt32.self)
        descriptor.scales = parts.scales?.base
        descriptorStorage = Storage(byteCount: MemoryLayout<wn_matrix>.size) { bytes in
            bytes.storeBytes(of: descriptor, as: wn_matrix.self)
        }
    }

    /// Rows `range` as a matrix of their own, nothing copied: one part of a fused matrix.
    ///
    /// For products only: a masked part's `values` are still those of all rows, which its row offsets point into.
    package func slice(rows range: Range<Int>) -> WeightMatrix {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= rows && !range.isEmpty, "rows \(range) of \(rows)")
        func part(_ slice: StorageSlice, _ count: Int, extra: Int = 0) -> StorageSlice {
            let stride = slice.byteCount / count
            return StorageSlice(
                slice.storage, offset: slice.offset + range.lowerBound * stride,
                byteCount: (range.count + extra) * stride)
        }
        var result = parts
        if !format.isMasked { result.values = part(parts.values, rows) }
        result.mask = parts.mask.map { part($0, rows) }
        result.rowOffsets = parts.rowOffsets.map { part($0, rows + 1, extra: 1) }
        result.scales = parts.scales.map { part($0, rows) }
        return WeightMatrix(
            unchecked: format, rows: range.count, columns: columns, group: group, parts: result,
            isTwoOfFour: descriptor.pointee.two_of_four)
    }

    /// What kernels read; lives as long as the matrix.
    package var descriptor: UnsafePointer<wn_matrix> {
        descriptorStorage.base.assumingMemoryBound(to: wn_matrix.self)
    }

    public var count: Int { rows * columns }

    /// Bytes of all parts: what a product reads, and what a file stores.
    public var byteCount: Int { parts.byteCount }

    public var bitsPerWeight: Double { Double(byteCount) * 8 / Double(count) }

    /// One row, multiplied out to float32.
    public func row(_ row: Int, into out: UnsafeMutablePointer<Float>) {
        precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
        wn_row_f32(descriptor, row, out)
    }

    /// Rows `range`, multiplied out, `[range.count, columns]`.
    public func floats(rows range: Range<Int>? = nil, on pool: KernelPool) -> [Float] {
        let range = range ?? 0..<rows
        return [Float](unsafeUninitializedCapacity: range.count * columns) { buffer, count in
            if !range.isEmpty {
                wn_rows_f32(pool.pointer, descriptor, range.lowerBound, range.upperBound, buffer.baseAddress)
            }
            count = range.count * columns
        }
    }

    /// Weights that are exactly zero, pruned or not.
    public func zeros(on pool: KernelPool) -> Int {
        var counts = [Int](repeating: 0, count: pool.threads)
        let rowsAtOnce = max(1, 1 << 16 / columns)
        counts.withUnsafeMutableBufferPointer { counts in
            let counts = UncheckedPointer(counts.baseAddress!)
            pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, worker in
                withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
                    for index in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                        wn_row_f32(descriptor, index, row.baseAddress)
                        var zeros = 0
                        for column in 0..<columns where row[column] == 0 { zeros += 1 }
                        counts.pointer[worker] += zeros
                    }
                }
            }
        }
        return counts.reduce(0, +)
    }

    /// Bytes between the rows of a mask of single weights: whole 64-bit words.
    package static func maskStride(columns: Int) -> Int { (columns + 63) / 64 * 8 }
}

private struct UncheckedPointer<Value> {
    let pointer: UnsafeMutablePointer<Value>
    init(_ pointer: UnsafeMutablePointer<Value>) { self.pointer = pointer }
}
