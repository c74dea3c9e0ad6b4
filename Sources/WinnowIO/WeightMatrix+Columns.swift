import CWinnow
import WinnowCore
import WinnowWeights

extension WeightMatrix {
    /// A copy of some columns: as they are stored where whole blocks stay together, else multiplied out.
    ///
    /// - Parameter kept: columns in rising order.
    /// - Parameter zeros: columns of zeros that follow; with any the copy is multiplied out.
    /// - Returns: the same format, or float32 where it packs columns that are not all kept.
    public func selectingColumns(
        _ kept: [Int], zeros: Int = 0, on pool: KernelPool
    ) throws(WeightError) -> WeightMatrix {
        precondition(
            zip(kept, kept.dropFirst()).allSatisfy(<) && (kept.last ?? 0) < columns, "columns in rising order"
        )
        if zeros == 0, let whole = try selectingBlocks(kept, on: pool) { return whole }
        let width = kept.count + zeros
        let floats = Buffer<Float>(count: rows * width)
        let out = Destination(floats.base)
        forEachRun(on: pool) { run in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
                for row in run {
                    wn_row_f32(descriptor, row, values.baseAddress)
                    let place = out.pointer + row * width
                    for (index, column) in kept.enumerated() { place[index] = values[column] }
                }
            }
        }
        return try WeightMatrix(
            format: .f32, rows: rows, columns: width, parts: Parts(values: StorageSlice(floats.freeze())),
            name: "columns")
    }

    /// Columns whose blocks are kept or dropped whole, with the scales of their rows; nil for others, and for formats
    /// with other arrays beside the values.
    private func selectingBlocks(_ kept: [Int], on pool: KernelPool) throws(WeightError) -> WeightMatrix? {
        guard parts.mask == nil, parts.rowOffsets == nil, parts.scales == nil || format.scales == .row
        else { return nil }
        let width = format.blockWidth
        let blocks = stride(from: 0, to: kept.count, by: width).map { kept[$0] / width }
        let isWhole = blocks.enumerated().allSatisfy { place, block in
            kept[place * width] == block * width && (place + 1) * width <= kept.count
                && kept[(place + 1) * width - 1] == (block + 1) * width - 1
        }
        guard isWhole, !kept.isEmpty else { return nil }
        let rowBytes = parts.values.byteCount / rows
        let blockBytes = rowBytes / (columns / width)
        guard blockBytes * (columns / width) == rowBytes else { return nil }
        let values = Buffer<UInt8>(count: rows * blocks.count * blockBytes)
        let (source, out) = (parts.values.base, Destination(values.base))
        forEachRun(on: pool) { run in
            for row in run {
                let from = source + row * rowBytes
                let to = UnsafeMutableRawPointer(out.pointer + row * blocks.count * blockBytes)
                switch blockBytes {
                case 1: gather(blocks, from, to, UInt8.self)
                case 2: gather(blocks, from, to, UInt16.self)
                case 4: gather(blocks, from, to, UInt32.self)
                default:
                    for (place, block) in blocks.enumerated() {
                        (to + place * blockBytes).copyMemory(
                            from: from + block * blockBytes, byteCount: blockBytes)
                    }
                }
            }
        }
        return try WeightMatrix(
            format: format, rows: rows, columns: kept.count,
            parts: Parts(values: StorageSlice(values.freeze()), scales: parts.scales), name: "columns")
    }

    /// Calls `body` with runs of rows, spread over the pool.
    private func forEachRun(on pool: KernelPool, _ body: (Range<Int>) -> Void) {
        let most = max(1, 1 << 16 / columns)
        pool.run(chunks: (rows + most - 1) / most) { chunk, _ in
            body(chunk * most..<min(rows, (chunk + 1) * most))
        }
    }
}

/// Copies single weights, of which a call each would cost more than the weight.
private func gather<Code: BitwiseCopyable>(
    _ places: [Int], _ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, _ type: Code.Type
) {
    let size = MemoryLayout<Code>.size
    for (index, place) in places.enumerated() {
        to.storeBytes(
            of: from.loadUnaligned(fromByteOffset: place * size, as: type), toByteOffset: index * size,
            as: type)
    }
}

/// Where workers write, each its own rows.
private struct Destination<Value> {
    let pointer: UnsafeMutablePointer<Value>
    init(_ pointer: UnsafeMutablePointer<Value>) { self.pointer = pointer }
}
