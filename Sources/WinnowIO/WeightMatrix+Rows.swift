import WinnowCore
import WinnowWeights

extension WeightMatrix {
    /// A copy whose row i is row `order[i]`: any format, codes, masks and scales as they are.
    ///
    /// - Parameter order: every row once.
    public func permutingRows(_ order: [Int]) throws -> WeightMatrix {
        precondition(order.count == rows, "\(order.count) rows in the order of \(rows)")
        return try selectingRows(order)
    }

    /// A copy of some rows, row i being row `order[i]`: any format, codes, masks and scales as they are.
    ///
    /// - Parameter order: rows, none twice.
    public func selectingRows(_ order: [Int]) throws -> WeightMatrix {
        var seen = [Bool](repeating: false, count: rows)
        for row in order {
            precondition(
                row >= 0 && row < rows && !seen[row], "row \(row) of \(rows) stands twice or is none")
            seen[row] = true
        }

        func permuted(_ slice: StorageSlice) -> StorageSlice {
            let stride = slice.byteCount / rows
            return StorageSlice(
                Storage(byteCount: stride * order.count) { out in
                    for (row, source) in order.enumerated() {
                        out.copy(slice.bytes[source * stride..<(source + 1) * stride], to: row * stride)
                    }
                })
        }

        var result = Parts(values: parts.values)
        result.scales = parts.scales.map(permuted)
        result.mask = parts.mask.map(permuted)
        if let offsets = parts.rowOffsets {
            func offset(_ row: Int) -> Int {
                Int(offsets.bytes.loadUnaligned(fromByteOffset: row * 4, as: UInt32.self))
            }
            var starts: [UInt32] = [0]
            starts.reserveCapacity(rows + 1)
            let kept = order.reduce(0) { $0 + offset($1 + 1) - offset($1) }
            let values = Storage(byteCount: kept) { out in
                var end = 0
                for source in order {
                    let range = offset(source)..<offset(source + 1)
                    out.copy(parts.values.bytes[range], to: end)
                    end += range.count
                    starts.append(UInt32(end))
                }
            }
            result.values = StorageSlice(values)
            result.rowOffsets = StorageSlice(copying: starts)
        } else {
            result.values = permuted(parts.values)
        }
        return try WeightMatrix(
            format: format, rows: order.count, columns: columns, group: group, parts: result,
            name: "some rows")
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func copy(_ bytes: Slice<UnsafeRawBufferPointer>, to offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: self[offset..<offset + bytes.count])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
    }
}
