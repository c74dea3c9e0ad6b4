import CWinnow
import WinnowCore
import WinnowWeights

// What each method's tensors mean.

extension ForeignParts {
    /// GPTQ: codes run down the inputs, `[inputs * bits / 32, outputs]`, scales are `[groups, outputs]`.
    func gptq(_ scheme: QuantizationScheme.GPTQ) throws -> UnpackedMatrix {
        let words = try tensor("qweight", [.i32, .u32], rank: 2)
        let scales = try tensor("scales", ForeignParts.floats, rank: 2)
        let packed = try tensor("qzeros", [.i32, .u32], rank: 2)
        let (rows, groups) = (words.shape[1], scales.shape[0])
        // `g_idx` has one entry a column: with it the words say how many bits a code has, whatever the
        // configuration.
        let stored =
            has("g_idx")
            ? try tensor("g_idx", [.i64, .i32], rank: 1).count : words.shape[0] * 32 / scheme.bits
        let (bits, left) = (words.shape[0] * 32).quotientAndRemainder(dividingBy: stored)
        guard left == 0, [2, 3, 4, 8].contains(bits), stored <= 1 << 24 else {
            throw wrong(
                "qweight",
                "has \(words.shape[0]) words for \(stored) columns; expected 2, 3, 4 or 8 bits each")
        }
        let columns = stored
        try expect("scales", scales, shape: [groups, rows])
        guard rows * bits % 32 == 0 else {
            throw wrong("qweight", "has \(rows) rows, whose zero points of \(bits) bits do not fill words")
        }
        try expect("qzeros", packed, shape: [groups, rows * bits / 32])
        // An order of its own may fill groups unevenly.
        let width = try width("scales", columns: columns, groups: groups, wanted: scheme.groupSize)
        let zeroCodes = ScaledCodes.Codes.words(
            packed.bytes, bits: bits, wordStride: 1, streamStride: packed.shape[1], padded: false)
        let least = scheme.zerosAreOneLess ? 1 : 0
        let codes = ScaledCodes(
            name: name, file: file, rows: rows, columns: columns,
            codes: .words(words.bytes, bits: bits, wordStride: rows, streamStride: 1, padded: false),
            columnsPerGroup: width, rowsPerGroup: 1, groups: groups,
            groupOf: try groupOrder("g_idx", columns: columns, groups: groups, width: width),
            scales: { ForeignParts.turned(scales.floats() ?? [], rows: groups, columns: rows) },
            zeros: {
                let zeros = zeroCodes.integers(streams: groups, count: rows).map {
                    ($0 + Int16(least)) & (1 << bits - 1)
                }
                return ForeignParts.turned(zeros, rows: groups, columns: rows)
            },
            zero: 0, floatFormat: scales.floatFormat, label: "gptq \(bits)-bit")
        return try UnpackedMatrix(codes, storedBytes: byteCount)
    }

    /// AWQ: 4-bit codes, `[inputs, outputs / 8]` words whose nibbles are in an order of their own.
    func awq(groupSize: Int) throws -> UnpackedMatrix {
        let words = try tensor("qweight", [.i32, .u32], rank: 2)
        let scales = try tensor("scales", ForeignParts.floats, rank: 2)
        let packed = try tensor("qzeros", [.i32, .u32], rank: 2)
        let (columns, rows, groups) = (words.shape[0], words.shape[1] * 8, scales.shape[0])
        guard columns <= 1 << 24 else { throw wrong("qweight", "has the impossible shape \(words.shape)") }
        try expect("scales", scales, shape: [groups, rows])
        try expect("qzeros", packed, shape: [groups, rows / 8])
        let codes = ScaledCodes(
            name: name, file: file, rows: rows, columns: columns, codes: .awq(words.bytes),
            columnsPerGroup: try width("scales", columns: columns, groups: groups, wanted: groupSize),
            rowsPerGroup: 1,
            groups: groups, groupOf: nil,
            scales: { ForeignParts.turned(scales.floats() ?? [], rows: groups, columns: rows) },
            zeros: { ScaledCodes.Codes.awq(packed.bytes).integers(streams: rows, count: groups) },
            zero: 0, floatFormat: scales.floatFormat, label: "awq 4-bit")
        return try UnpackedMatrix(codes, storedBytes: byteCount)
    }

    /// compressed-tensors' `pack-quantized`: codes of a row in words, none of them cut in two.
    func packed(_ scheme: QuantizationScheme.CompressedTensors) throws -> UnpackedMatrix {
        let words = try tensor("weight_packed", [.i32, .u32], rank: 2)
        let (rows, columns) = try shape("weight_shape")
        let fitting = scheme.bits.filter {
            $0 <= 8 && words.shape == [rows, (columns + 32 / $0 - 1) / (32 / $0)]
        }
        guard let bits = fitting.first, fitting.count == 1 else {
            throw wrong(
                "weight_packed",
                "has the shape \(words.shape) for [\(rows), \(columns)]; expected codes of "
                    + "\(scheme.bits.sorted().map { "\($0)" }.joined(separator: " or ")) bits, as config_groups says"
            )
        }
        let scale = try scales("weight_scale", rows: rows, columns: columns, block: scheme.block)
        var zeros: (@Sendable () throws -> [Int16])?
        if has("weight_zero_point") {
            let tensor = try tensor("weight_zero_point", [.i32, .u32, .i8])
            if tensor.dtype == .i8 {
                zeros = try bytes("weight_zero_point", count: scale.count, adding: 1 << (bits - 1))
            } else {
                // Packed down the rows.
                let groups = scale.groups
                try expect(
                    "weight_zero_point", tensor, shape: [(rows + 32 / bits - 1) / (32 / bits), groups])
                guard scale.rowsPerGroup == 1 else {
                    throw wrong("weight_zero_point", "has a zero point for each row, but the scales have not")
                }
                let codes = ScaledCodes.Codes.words(
                    tensor.bytes, bits: bits, wordStride: groups, streamStride: 1, padded: true)
                zeros = {
                    ForeignParts.turned(
                        codes.integers(streams: groups, count: rows), rows: groups, columns: rows)
                }
            }
        }
        let codes = ScaledCodes(
            name: name, file: file, rows: rows, columns: columns,
            codes: .words(words.bytes, bits: bits, wordStride: 1, streamStride: words.shape[1], padded: true),
            columnsPerGroup: scale.columnsPerGroup, rowsPerGroup: scale.rowsPerGroup, groups: scale.groups,
            groupOf: try groupOrder(
                "weight_g_idx", columns: columns, groups: scale.groups, width: scale.columnsPerGroup),
            scales: scale.values, zeros: zeros, zero: 1 << (bits - 1), floatFormat: scale.format,
            label: "pack-quantized \(bits)-bit")
        return try UnpackedMatrix(codes, storedBytes: byteCount)
    }

    /// Whole bytes with scales: compressed-tensors' `int-`, `float-` and `naive-quantized`, and fp8 folders.
    ///
    /// - Parameter method: what the scheme is called, where it has a name beside the type of its numbers.
    /// - Parameter scale: the part that has the scales; nil for bytes that are the weights themselves.
    /// - Parameter floatFormat: what products are rounded to; nil: the type of the scales.
    func scaledBytes(
        _ method: String?, scale: String?, block: [Int]?, floatFormat: WeightFormat? = nil
    ) throws -> UnpackedMatrix {
        let isSparse = has("compressed")
        let source = try tensor(
            isSparse ? "compressed" : "weight", [.i8, .u8, .f8e4m3, .f8e5m2], rank: isSparse ? nil : 2,
            mayBeEmpty: isSparse)
        let kind =
            switch source.dtype {
            case .i8: WN_BYTE_SIGNED
            case .u8: WN_BYTE_UNSIGNED
            case .f8e4m3: WN_BYTE_E4M3
            default: WN_BYTE_E5M2
            }
        let mask = isSparse ? try bitmask(kept: source) : nil
        let (rows, columns) = mask.map { ($0.rows, $0.columns) } ?? (source.shape[0], source.shape[1])
        guard columns <= 1 << 24 else { throw wrong("weight", "has the impossible shape \(source.shape)") }
        let scales =
            try scale.map { try self.scales($0, rows: rows, columns: columns, block: block) }
            ?? .one(columns, rows)
        let isFloat = kind == WN_BYTE_E4M3 || kind == WN_BYTE_E5M2
        var zeros: (@Sendable () throws -> [Int16])?
        if has("weight_zero_point") {
            if isFloat {
                guard tensors["weight_zero_point"]!.tensor.bytes.bytes.allSatisfy({ $0 & 0x7F == 0 }) else {
                    throw wrong("weight_zero_point", "is not zero; numbers in floating point have none")
                }
            } else {
                zeros = try bytes("weight_zero_point", count: scales.count, adding: 0)
            }
        }
        let order = try groupOrder(
            "weight_g_idx", columns: columns, groups: scales.groups, width: scales.columnsPerGroup)
        let type = kind == WN_BYTE_E4M3 ? "fp8 e4m3" : kind == WN_BYTE_E5M2 ? "fp8 e5m2" : "int8"
        let label = method.map { "\($0) \(type)" } ?? type
        if let mask, source.dtype == .i8, zeros == nil, scales.groups == 1,
            let offsets = mask.offsets(size: 1)
        {
            var values = try scales.values()
            guard values.allSatisfy(\.isFinite) else {
                throw wrong("weight_scale", "has a scale that is not finite")
            }
            if scales.rowsPerGroup > 1 { values = (0..<rows).map { values[$0 / scales.rowsPerGroup] } }
            return UnpackedMatrix(
                mask, source.bytes, offsets: offsets, scales: values, source: label + ", sparse",
                storedBytes: byteCount)
        }
        let codes = ScaledCodes(
            name: name, file: file, rows: rows, columns: columns,
            codes: mask.map { .sparse($0, source.bytes, kind) } ?? .bytes(source.bytes, kind),
            columnsPerGroup: scales.columnsPerGroup, rowsPerGroup: scales.rowsPerGroup, groups: scales.groups,
            groupOf: order, scales: scales.values, zeros: zeros, zero: 0,
            floatFormat: floatFormat ?? scales.format,
            label: label)
        return try UnpackedMatrix(codes, storedBytes: byteCount)
    }

    /// compressed-tensors' `sparse-bitmask` and `sparse-24-bitmask` of plain numbers.
    func sparse(_ method: String) throws -> UnpackedMatrix {
        let kept = try tensor("compressed", ForeignParts.floats, mayBeEmpty: true)
        return UnpackedMatrix(
            try bitmask(kept: kept), kept, source: "\(method) \(kept.dtype.rawValue.lowercased())",
            storedBytes: byteCount)
    }

    /// The mask, held against the values and the places where rows are said to begin.
    private func bitmask(kept: Tensor) throws(CheckpointError) -> Bitmask {
        let (rows, columns) = try shape("shape")
        let bits = try tensor("bitmask", [.u8, .i8])
        let mask = try Bitmask(
            rows: rows, columns: columns, bits.bytes, name: "\(module).bitmask", file: file)
        guard mask.keptCount == kept.count else {
            throw wrong("bitmask", "has \(mask.keptCount) bits for \(kept.count) values")
        }
        if has("row_offsets") {
            let offsets = try integers("row_offsets", count: rows)
            if let row = offsets.indices.first(where: { offsets[$0] != mask.starts[$0] }) {
                throw wrong(
                    "row_offsets", "begins row \(row) at \(offsets[row]); the mask has \(mask.starts[row])")
            }
        }
        return mask
    }
}

extension ScaledCodes.Codes {
    /// Codes of bits as numbers, `[streams, count]`.
    fileprivate func integers(streams: Int, count: Int) -> [Int16] {
        var source = wn_bit_codes()
        var slice: StorageSlice?
        switch self {
        case .words(let words, let bits, let wordStride, let streamStride, let padded):
            slice = words
            source.bits = UInt32(bits)
            source.word_stride = wordStride
            source.stream_stride = streamStride
            source.padded = padded
        case .awq(let words):
            slice = words
            source.bits = 4
            source.word_stride = streams / 8
            source.awq = true
        default: return []
        }
        source.words = slice?.base
        var bytes = [UInt8](repeating: 0, count: streams * count)
        withExtendedLifetime(slice) { wn_bit_codes_read(&source, 0, streams, count, &bytes) }
        return bytes.map { Int16($0) }
    }
}
