import WinnowCore
import WinnowWeights

extension ModelConversion {
    /// What writing `source` holds in memory beside the program, at its peak; nothing of the weights is read.
    ///
    /// The source is mapped, and its pages stay once they were read: the peak is where what was read so far and the
    /// matrix on its way take most together, or at the end, where the finished output is opened and checked.
    public func memoryPlan(for source: Checkpoint) -> MemoryPlan {
        let checking =
            target == .gguf
            ? GGUFWriter.checkingBytes(source.configuration)
            : CheckpointWriter.checkingBytes(source.configuration)
        var read = 0
        var (peak, working) = (0, 0)
        for name in source.names {
            guard let stored = source.stored(name) else { continue }
            read += stored.byteCount
            let bytes: Int
            switch stored {
            case .matrix(let layout, let parts):
                bytes = workingBytes(name, layout, parts.byteCount, source.configuration)
            case .unpacked(let matrix):
                // Beside what was read, the matrix as it was made.
                bytes =
                    matrix.byteCount + workingBytes(name, matrix.layer, matrix.byteCount, source.configuration)
            // Brought in order when it is read, and back when it is written.
            case .reordered(let layout, let parts, _):
                bytes = workingBytes(name, layout, parts.byteCount, source.configuration) + 2 * parts.byteCount
            default: continue
            }
            if read + bytes > peak + working { (peak, working) = (read, bytes) }
        }
        var plan = MemoryPlan()
        if read + checking >= peak + working {
            plan.add("the model as stored", bytes: read)
            plan.add("checking the output", bytes: checking)
        } else {
            plan.add("the model as far as it is read", bytes: peak)
            plan.add("one matrix on its way", bytes: working)
        }
        return plan
    }

    /// Copies that are alive together while a matrix is converted and its rows brought in order.
    private func workingBytes(
        _ name: String, _ layout: PackedLayers.Layer, _ stored: Int, _ shape: ModelConfiguration
    ) -> Int {
        let wanted = format(of: layout.format, name, in: shape)
        let turns =
            shape.rotaryHeads(of: name) != nil && (target == .gguf) == (shape.rotaryStyle == .halves)
        let count = layout.rows * layout.columns
        guard wanted != layout.format else { return turns ? stored : 0 }
        // The most that a format takes: all weights kept, and their mask.
        var written = layout.rows * wanted.rowBytes(columns: layout.columns)
        if wanted.isMasked {
            written = layout.rows * ((layout.columns * wanted.codeBits + 7) / 8)
            written += (layout.rows + 1) * 4 + layout.rows * wanted.maskStride(columns: layout.columns)
        }
        written += wanted.scaleBytes(
            rows: layout.rows, columns: layout.columns, group: layout.group > 0 ? layout.group : group)
        guard wanted.isMasked, layout.format.masked != wanted else { return turns ? 2 * written : written }
        // On another grid: float32 and the same with zeros, then the zeroed, the codes and the packed.
        let dense = layout.rows * wanted.dense.rowBytes(columns: layout.columns)
        return max(8 * count, 4 * count + dense + written, turns ? 2 * written : 0)
    }
}
