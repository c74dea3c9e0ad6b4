import CWinnow
import WinnowCore

extension WeightMatrix {
    /// The mask that a masked format carries; nil for dense ones.
    public var mask: SparsityMask? {
        parts.mask.map {
            format.maskColumns == 1
                ? SparsityMask(rows: rows, columns: columns, bytes: $0)
                : SparsityMask(rows: rows, columns: columns, blocksOfFour: $0)
        }
    }

    /// The same weights with the pruned ones zero, in the matrix's own grid: kept weights keep their bits.
    ///
    /// Q4_0, Q4_1, Q8_0, int8, int4 and f16 become their masked twin, with the kept codes and the source's scales.
    /// f32 and bf16 have none and stay dense, with zeros in the places of the pruned. The larger block formats of
    /// GGUF have none either, and their kept weights are rounded to int8. What was pruned before stays pruned.
    ///
    /// - Parameter name: what errors call the matrix.
    /// - Throws: ``WeightError/tooLarge(name:bytes:)`` over 4 GiB of kept values.
    public func masked(by mask: SparsityMask, on pool: KernelPool, name: String) throws(WeightError)
        -> WeightMatrix
    {
        precondition(
            mask.rows == rows && mask.columns == columns,
            "a mask of [\(mask.rows), \(mask.columns)] for [\(rows), \(columns)]")
        guard let twin = format.masked else {
            return format.isFloat
                ? try zeroed(by: mask, on: pool, name)
                : try masked(by: mask, storedAs: format.pruned.dense, group: 0, on: pool, name: name)
        }
        return try masked(by: mask, in: twin, on: pool, name)
    }

    /// In a masked format of the same values, codes as they are.
    ///
    /// A block that keeps any weight is kept whole, the others in it zero.
    package func masked(
        by mask: SparsityMask, in twin: WeightFormat, on pool: KernelPool, _ name: String
    ) throws(WeightError) -> WeightMatrix {
        let mask = self.mask.map { $0.intersection(mask) } ?? mask
        guard twin.maskColumns > 1 else { return try packed(mask, mask.bytes, twin, on: pool, name) }
        guard columns % twin.blockWidth == 0 else {
            throw .unevenBlocks(name: name, columns: columns, blockWidth: twin.blockWidth)
        }
        // A matrix whose pruned weights have no code left gives zeros for them.
        let loose = try packed(mask, mask.bytes, twin.dense.masked!, on: pool, name)
        let blocks = mask.blocksOfFour()
        return try loose.packed(
            SparsityMask(rows: rows, columns: columns, blocksOfFour: blocks), blocks, twin, on: pool, name)
    }

    /// The codes that `mask` keeps; `bits` is the mask as the format has it.
    private func packed(
        _ mask: SparsityMask, _ bits: StorageSlice, _ twin: WeightFormat, on pool: KernelPool, _ name: String
    ) throws(WeightError) -> WeightMatrix {
        var offsets = [UInt32](repeating: 0, count: rows + 1)
        var total = 0
        for row in 0..<rows {
            total += wn_packed_row_bytes(UInt32(format.codeBits), mask.row(row), columns)
            guard total <= UInt32.max else { throw .tooLarge(name: name, bytes: total) }
            offsets[row + 1] = UInt32(total)
        }
        let values = Buffer<UInt8>(count: total)
        let out = values.base
        eachRow(on: pool) { row, scratch in
            _ = wn_pack_row(descriptor, row, mask.row(row), scratch, out + Int(offsets[row]))
        }
        return try WeightMatrix(
            format: twin, rows: rows, columns: columns, group: group,
            parts: Parts(
                values: StorageSlice(values.freeze()), mask: bits, rowOffsets: StorageSlice(copying: offsets),
                scales: ownScales(on: pool)),
            name: name)
    }

    /// The scales as an array of their own, bit for bit.
    func ownScales(on pool: KernelPool) -> StorageSlice? {
        guard case .block(let count) = format.scales, !format.isMasked else { return parts.scales }
        let rowBytes = columns / 32 * 2 * count
        let scales = Buffer<UInt8>(count: rows * rowBytes)
        let out = scales.base
        eachRow(on: pool) { row, _ in wn_pack_row_scales(descriptor, row, out + row * rowBytes) }
        return StorageSlice(scales.freeze())
    }

    private func zeroed(by mask: SparsityMask, on pool: KernelPool, _ name: String) throws(WeightError)
        -> WeightMatrix
    {
        let bytes = format.codeBits / 8
        let rowBytes = columns * bytes
        let values = Buffer<UInt8>(count: rows * rowBytes)
        let out = values.base
        eachRow(on: pool) { row, _ in
            UnsafeMutableRawPointer(out + row * rowBytes).copyMemory(
                from: parts.values.base + row * rowBytes, byteCount: rowBytes)
            wn_zero_pruned(out + row * rowBytes, bytes, mask.row(row), columns)
        }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns,
            parts: Parts(values: StorageSlice(values.freeze())), name: name)
    }

    /// The matrix in another format under a mask, kept weights rounded to the nearest code of it.
    ///
    /// Scales are chosen on kept weights alone. A kept weight may round to zero; a pruned one stays zero.
    ///
    /// - Parameter format: a dense format with a masked twin, `int8`, `int4`, `f16`.
    /// - Parameter group: columns a scale covers in int4.
    /// - Throws: ``WeightError/notFinite(name:row:)`` for a weight that the format cannot hold.
    public func masked(
        by mask: SparsityMask, storedAs format: WeightFormat, group: Int, on pool: KernelPool, name: String
    ) throws(WeightError) -> WeightMatrix {
        let whole = try WeightMatrix(
            format: .f32, rows: rows, columns: columns,
            parts: Parts(values: StorageSlice(copying: floats(on: pool))), name: name)
        let mask = self.mask.map { $0.intersection(mask) } ?? mask
        return try whole.zeroed(by: mask, on: pool, name)
            .converted(to: format, group: group, on: pool, name: name)
            .masked(by: mask, on: pool, name: name)
    }

    /// The matrix in a masked format, its zeros the pruned weights: all of them stay zero, and no other
    /// weight is pruned. A matrix without zeros gets a mask that keeps everything.
    ///
    /// A matrix of the format's dense twin, or of another mask over it, keeps its codes and scales; others are rounded to the nearest
    /// code.
    ///
    /// - Parameter format: a masked format.
    /// - Parameter group: columns a scale covers, for int4 of a matrix that has no groups yet.
    /// - Throws: ``WeightError/notFinite(name:row:)``, ``WeightError/tooLarge(name:bytes:)``,
    ///   ``WeightError/unevenBlocks(name:columns:blockWidth:)``.
    public func maskingZeros(
        in format: WeightFormat, group: Int, on pool: KernelPool, name: String
    ) throws(WeightError) -> WeightMatrix {
        precondition(format.isMasked, "\(format.name) is not a masked format")
        guard format != self.format else { return self }
        let mask = nonzeros(on: pool)
        guard self.format.dense != format.dense else {
            return try masked(by: mask, in: format, on: pool, name)
        }
        return try masked(by: mask, storedAs: format.dense, group: group, on: pool, name: name)
            .masked(by: mask, in: format, on: pool, name)
    }

    /// A mask that keeps the weights that are not zero.
    public func nonzeros(on pool: KernelPool) -> SparsityMask {
        let stride = WeightMatrix.maskStride(columns: columns)
        let bits = Buffer<UInt8>(count: rows * stride)
        let out = bits.base
        let rowsAtOnce = max(1, 1 << 16 / columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
                for row in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                    wn_row_f32(descriptor, row, values.baseAddress)
                    let mask = out + row * stride
                    for column in 0..<columns where values[column] != 0 {
                        mask[column >> 3] |= 1 << UInt8(truncatingIfNeeded: column & 7)
                    }
                }
            }
        }
        return SparsityMask(rows: rows, columns: columns, bytes: StorageSlice(bits.freeze()))
    }

    /// Calls `body` for every row with scratch of two bytes a column, rows spread over the pool.
    private func eachRow(
        on pool: KernelPool, _ body: (_ row: Int, _ scratch: UnsafeMutablePointer<UInt8>) -> Void
    ) {
        let rowsAtOnce = max(1, 1 << 16 / columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * columns) { scratch in
                for row in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                    body(row, scratch.baseAddress!)
                }
            }
        }
    }
}
