import WinnowCore

extension WeightMatrix {
    /// The same matrix in memory of its own.
    package func copied() throws(WeightError) -> WeightMatrix {
        func copy(_ slice: StorageSlice) -> StorageSlice {
            StorageSlice(Storage(byteCount: slice.byteCount) { $0.copyMemory(from: slice.bytes) })
        }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: group,
            parts: Parts(
                values: copy(parts.values), mask: parts.mask.map(copy),
                rowOffsets: parts.rowOffsets.map(copy),
                scales: parts.scales.map(copy)),
            name: "copy")
    }

    /// Random codes of about unit-variance rows; a masked format keeps each weight with chance 1 - sparsity.
    package static func random(
        rows: Int, columns: Int, format: WeightFormat, sparsity: Double, using random: inout Random
    ) throws(WeightError) -> WeightMatrix {
        guard format.canEncode else { throw .cannotEncode(name: "random weights", format: format.name) }
        let group = 64
        // Scales that give weights of about 1/sqrt(columns), so that activations stay of order one.
        let step = 1 / Float(columns).squareRoot() / Float(1 << (format.codeBits == 4 ? 2 : 6))
        let half = Float16(step).bitPattern
        let offset = Float16(-8 * step).bitPattern
        var mask: [UInt64] = []
        var offsets: [UInt32] = []
        var valueBytes = rows * format.rowBytes(columns: columns)
        if format.isMasked {
            let threshold = UInt64(min(max(1 - sparsity, 0), 1) * 256)
            offsets.append(0)
            var total = 0
            for _ in 0..<rows {
                for first in stride(from: 0, to: columns / format.maskColumns, by: 64) {
                    var word: UInt64 = 0
                    for byte in 0..<8 {
                        let draws = random.next()
                        for bit in 0..<8 where (draws >> UInt64(8 * bit)) & 255 < threshold {
                            word |= 1 << UInt64(byte * 8 + bit)
                        }
                    }
                    let left = columns / format.maskColumns - first
                    if left < 64 { word &= (1 << UInt64(left)) - 1 }
                    mask.append(word)
                    let kept = word.nonzeroBitCount * format.maskColumns
                    total += format.codeBits == 4 ? (kept + 1) / 2 : kept * format.codeBits / 8
                }
                offsets.append(UInt32(total))
            }
            valueBytes = total
        }
        let values = Storage(byteCount: valueBytes) { bytes in
            switch format.scales {
            case .block(let count) where !format.isMasked:
                let block = 32 * format.codeBits / 8 + 2 * count
                for start in stride(from: 0, to: bytes.count, by: block) {
                    for byte in start..<start + block {
                        bytes[byte] = UInt8(truncatingIfNeeded: random.next())
                    }
                    bytes.storeBytes(of: half, toByteOffset: start, as: UInt16.self)
                    if count == 2 { bytes.storeBytes(of: offset, toByteOffset: start + 2, as: UInt16.self) }
                }
            case .none:
                for index in 0..<bytes.count * 8 / format.codeBits {
                    let value = (random.uniform() - 0.5) * 64 * step
                    switch format.codeBits {
                    case 32: bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
                    default:
                        let bits =
                            format.name == "bf16"
                            ? UInt16(value.bitPattern >> 16) : Float16(value).bitPattern
                        bytes.storeBytes(of: bits, toByteOffset: index * 2, as: UInt16.self)
                    }
                }
            default:
                for index in 0..<bytes.count / 8 {
                    bytes.storeBytes(of: random.next(), toByteOffset: index * 8, as: UInt64.self)
                }
            }
        }
        let scales: StorageSlice? =
            switch format.scales {
            case .none, .inside: nil
            case .row: StorageSlice(copying: [Float](repeating: step, count: rows))
            case .group:
                StorageSlice(
                    copying: [UInt16](repeating: half, count: rows * ((columns + group - 1) / group)))
            case .block(let count):
                format.isMasked
                    ? StorageSlice(
                        copying: (0..<rows * columns / 32).flatMap { _ in
                            count == 2 ? [half, offset] : [half]
                        })
                    : nil
            }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: group,
            parts: Parts(
                values: StorageSlice(values), mask: format.isMasked ? StorageSlice(copying: mask) : nil,
                rowOffsets: format.isMasked ? StorageSlice(copying: offsets) : nil, scales: scales),
            name: "random \(format.name)")
    }
}
