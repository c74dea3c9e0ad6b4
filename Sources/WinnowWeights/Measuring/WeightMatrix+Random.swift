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

    /// Random codes of about unit-variance rows; a masked format keeps each weight, or each block of the pattern, with
    /// chance 1 - sparsity. N:M keeps N of each M, whatever the sparsity.
    ///
    /// - Throws: `WeightError/unevenBlocks` for blocks or groups that don't divide the columns, or that a bit of the
    ///   format's mask doesn't divide.
    package static func random(
        rows: Int, columns: Int, format: WeightFormat, sparsity: Double,
        pattern: SparsityPattern = .unstructured, using random: inout Random
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
            let bits = columns / format.maskColumns
            let width = try pattern.randomGroup(columns: columns, format: format)
            offsets.append(0)
            var total = 0
            for _ in 0..<rows {
                let words = pattern.randomWords(bits, groups: width, keeping: 1 - sparsity, using: &random)
                for word in words {
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

extension SparsityPattern {
    /// Bits of a format's mask in a block or group of the pattern.
    fileprivate func randomGroup(columns: Int, format: WeightFormat) throws(WeightError) -> Int {
        let width: Int
        switch self {
        case .unstructured: return 1
        case .blocks(let columns): width = columns
        case .nOfM(_, let m): width = m
        }
        guard columns % width == 0 else {
            throw .unevenBlocks(name: "random weights", columns: columns, blockWidth: width)
        }
        guard width % format.maskColumns == 0 else {
            throw .unevenBlocks(name: "random weights", columns: width, blockWidth: format.maskColumns)
        }
        return width / format.maskColumns
    }

    /// A row of so many bits of a mask, in words.
    fileprivate func randomWords(
        _ count: Int, groups width: Int, keeping share: Double, using random: inout Random
    ) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: (count + 63) / 64)
        let threshold = UInt64(min(max(share, 0), 1) * 256)
        func set(_ bit: Int) { words[bit / 64] |= 1 << UInt64(bit % 64) }
        var draws: UInt64 = 0
        for (number, first) in stride(from: 0, to: words.count * 64, by: width).enumerated() {
            guard first < count || self == .unstructured else { break }
            if case .nOfM(let n, _) = self {
                // Each place with the chance that is left for it: every choice of n is as likely.
                var left = n
                for place in 0..<width where random.uniform() * Float(width - place) < Float(left) {
                    set(first + place)
                    left -= 1
                }
                continue
            }
            if number % 8 == 0 { draws = random.next() }
            if (draws >> UInt64(8 * (number % 8))) & 255 < threshold, first < count {
                for bit in first..<first + width { set(bit) }
            }
        }
        return words
    }
}
