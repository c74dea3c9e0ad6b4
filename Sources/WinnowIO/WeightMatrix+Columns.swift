import WinnowCore
import WinnowWeights

extension WeightMatrix {
    /// A copy of some columns: as they are stored where whole blocks stay together, else multiplied out.
    ///
    /// - Parameter kept: columns in rising order.
    /// - Returns: the same format, or float32 where it packs columns that are not all kept.
    public func selectingColumns(_ kept: [Int], on pool: KernelPool) throws(WeightError) -> WeightMatrix {
        precondition(
            zip(kept, kept.dropFirst()).allSatisfy(<) && (kept.last ?? 0) < columns, "columns in rising order"
        )
        if let whole = try selectingBlocks(kept) { return whole }
        let floats = floats(on: pool)
        let (rows, columns) = (rows, columns)
        let storage = Storage(byteCount: rows * kept.count * 4) { out in
            let out = out.bindMemory(to: Float.self)
            for row in 0..<rows {
                for (place, column) in kept.enumerated() {
                    out[row * kept.count + place] = floats[row * columns + column]
                }
            }
        }
        return try WeightMatrix(
            format: .f32, rows: rows, columns: kept.count, parts: Parts(values: StorageSlice(storage)),
            name: "columns")
    }

    /// Columns whose blocks are kept or dropped whole; nil for others, and for formats with arrays beside the values.
    private func selectingBlocks(_ kept: [Int]) throws(WeightError) -> WeightMatrix? {
        guard parts.mask == nil, parts.scales == nil, parts.rowOffsets == nil else { return nil }
        let width = format.blockWidth
        let blocks = stride(from: 0, to: kept.count, by: width).map { kept[$0] }
        let isWhole = blocks.enumerated().allSatisfy { place, first in
            first % width == 0 && (place + 1) * width <= kept.count
                && kept[(place + 1) * width - 1] == first + width - 1
        }
        guard isWhole, kept.count % width == 0 else { return nil }
        let rowBytes = parts.values.byteCount / rows
        let blockBytes = rowBytes / (columns / width)
        guard blockBytes * (columns / width) == rowBytes else { return nil }
        let (rows, values) = (rows, parts.values)
        let storage = Storage(byteCount: rows * blocks.count * blockBytes) { out in
            var end = 0
            for row in 0..<rows {
                for first in blocks {
                    let start = row * rowBytes + first / width * blockBytes
                    UnsafeMutableRawBufferPointer(rebasing: out[end..<end + blockBytes])
                        .copyMemory(
                            from: UnsafeRawBufferPointer(rebasing: values.bytes[start..<start + blockBytes]))
                    end += blockBytes
                }
            }
        }
        return try WeightMatrix(
            format: format, rows: rows, columns: kept.count, parts: Parts(values: StorageSlice(storage)),
            name: "columns")
    }
}
