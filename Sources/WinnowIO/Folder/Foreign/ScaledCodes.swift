import CWinnow
import WinnowCore
import WinnowWeights

/// A matrix `[rows, columns]` of codes of a few bits or bytes, each less its zero point and times its scale,
/// as another
/// tool has packed it.
///
/// Opening looks at scales and zero points, which say in which of our formats nothing is lost; codes are
/// read when the
/// matrix is asked for.
struct ScaledCodes: Sendable {
    enum Codes: Sendable {
        /// See `wn_bit_codes`: codes that run along a row, or down a column of words.
        case words(StorageSlice, bits: Int, wordStride: Int, streamStride: Int, padded: Bool)
        /// AWQ's order, `[columns, rows / 8]`.
        case awq(StorageSlice)
        case bytes(StorageSlice, wn_byte_kind)
        /// The kept bytes of a sparse matrix; see ``Bitmask``.
        case sparse(Bitmask, StorageSlice, wn_byte_kind)
    }

    /// Scales or zero points, one for a block of rows and a group of columns.
    struct Blocks<Element: Sendable>: Sendable {
        let values: [Element]
        let groups: Int
    }

    let name: String
    let file: String
    let rows: Int
    let columns: Int
    let codes: Codes
    /// Columns and rows that a scale covers.
    let columnsPerGroup: Int
    let rowsPerGroup: Int
    let groups: Int
    /// The group of each column, where they are in no order; nil otherwise.
    let groupOf: [UInt32]?
    /// `[row blocks, groups]`, made when it is wanted.
    let scales: @Sendable () throws -> [Float]
    /// The same of zero points; nil: all are ``zero``.
    let zeros: (@Sendable () throws -> [Int16])?
    /// The zero point of all codes.
    let zero: Int
    /// The type of the scales: what the weights are rounded to when no format holds them.
    let floatFormat: WeightFormat
    /// What a weight was before: `gptq 4-bit`.
    let label: String

    /// The bits of a code; nil for bytes in floating point.
    private var codeRange: ClosedRange<Int>? {
        switch codes {
        case .words(_, let bits, _, _, _): 0...(1 << bits - 1)
        case .awq: 0...15
        case .bytes(_, let kind), .sparse(_, _, let kind):
            kind == WN_BYTE_SIGNED ? -128...127 : kind == WN_BYTE_UNSIGNED ? 0...255 : nil
        }
    }

    /// The format that holds every weight, else ``floatFormat``; and its columns a scale.
    ///
    /// - Throws: ``CheckpointError`` for a scale that is not finite.
    func format() throws -> (WeightFormat, group: Int) {
        let scales = try self.scales()
        guard scales.withUnsafeBufferPointer({ wn_floats_are_finite($0.baseAddress, $0.count) }) else {
            throw CheckpointError.badPart(file: file, tensor: name, reason: "has a scale that is not finite")
        }
        guard let codeRange, groupOf == nil, rowsPerGroup == 1 || groups == 1 else { return (floatFormat, 0) }
        let zeroRange =
            try self.zeros.map { zeros in
                let values = try zeros()
                return Int(values.min() ?? 0)...Int(values.max() ?? 0)
            } ?? zero...zero
        let values = codeRange.lowerBound - zeroRange.upperBound...codeRange.upperBound - zeroRange.lowerBound
        let fitsByte = values.lowerBound >= -128 && values.upperBound <= 127
        guard fitsByte else { return (floatFormat, 0) }
        let fitsNibble = values.lowerBound >= -8 && values.upperBound <= 7
        let inBlocks = columns % 32 == 0 && (groups == 1 || columnsPerGroup % 32 == 0)
        let areHalves =
            inBlocks && scales.withUnsafeBufferPointer { wn_floats_are_halves($0.baseAddress, $0.count) }
        if fitsNibble, areHalves {
            let group = [128, 64, 32].first { groups == 1 || columnsPerGroup % $0 == 0 } ?? 32
            return (.int4, group)
        }
        if groups == 1 { return (.int8, 0) }
        return areHalves ? (.q8_0, 0) : (floatFormat, 0)
    }

    /// The matrix in a format that ``format()`` gave.
    func parts(in format: WeightFormat, group: Int) throws -> WeightMatrix.Parts {
        let scales = try self.scales()
        let zeroPoints =
            try self.zeros?() ?? (zero == 0 ? nil : [Int16](repeating: Int16(zero), count: scales.count))
        let rowBytes = format.rowBytes(columns: columns)
        let scaleBytes = format.scaleBytes(rows: 1, columns: columns, group: max(group, 1))
        let scaleStorage = Storage(byteCount: rows * scaleBytes) { _ in }
        // Rows in strips: codes that run down a column are read a word at a time.
        let strip = min(rows, 64)
        let values = Storage(byteCount: rows * rowBytes) { out in
            var bytes = [UInt8](repeating: 0, count: strip * columns)
            scales.withUnsafeBufferPointer { scales in
                withOptionalPointer(zeroPoints) { zeros in
                    withOptionalPointer(groupOf) { groupOf in
                        var scaling = wn_scaling()
                        scaling.kind = Int32(byteKind.rawValue)
                        scaling.scales = scales.baseAddress
                        scaling.zeros = zeros
                        scaling.groups = groups
                        scaling.columns_per_group = columnsPerGroup
                        scaling.rows_per_group = rowsPerGroup
                        scaling.group_of = groupOf
                        let ownScales = UnsafeMutableRawPointer(mutating: scaleStorage.base)
                        for begin in stride(from: 0, to: rows, by: strip) {
                            let end = min(rows, begin + strip)
                            read(begin..<end, into: &bytes)
                            bytes.withUnsafeBufferPointer { bytes in
                                for row in begin..<end {
                                    wn_scaled_row(
                                        &scaling, bytes.baseAddress! + (row - begin) * columns, row, columns,
                                        format.code, group, out.baseAddress! + row * rowBytes,
                                        scaleBytes > 0 ? ownScales + row * scaleBytes : nil)
                                }
                            }
                        }
                    }
                }
            }
        }
        return WeightMatrix.Parts(
            values: StorageSlice(values), scales: scaleBytes > 0 ? StorageSlice(scaleStorage) : nil)
    }

    private var byteKind: wn_byte_kind {
        switch codes {
        case .words, .awq: WN_BYTE_UNSIGNED
        case .bytes(_, let kind), .sparse(_, _, let kind): kind
        }
    }

    private func read(_ range: Range<Int>, into out: inout [UInt8]) {
        var source = wn_bit_codes()
        switch codes {
        case .words(let slice, let bits, let wordStride, let streamStride, let padded):
            source.words = slice.base
            source.bits = UInt32(bits)
            source.word_stride = wordStride
            source.stream_stride = streamStride
            source.padded = padded
        case .awq(let slice):
            source.words = slice.base
            source.bits = 4
            source.word_stride = rows / 8
            source.awq = true
        case .bytes(let slice, _):
            out.withUnsafeMutableBytes {
                $0.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: slice.bytes[range.lowerBound * columns..<range.upperBound * columns]))
            }
            return
        case .sparse(let mask, let kept, _):
            out.withUnsafeMutableBytes { mask.expand(range, kept, size: 1, into: $0.baseAddress!) }
            return
        }
        wn_bit_codes_read(&source, range.lowerBound, range.upperBound, columns, &out)
    }
}

/// Calls `body` with the elements' address, nil when there are none.
private func withOptionalPointer<Element>(
    _ values: [Element]?, _ body: (UnsafePointer<Element>?) -> Void
) {
    guard let values else { return body(nil) }
    values.withUnsafeBufferPointer { body($0.baseAddress) }
}
