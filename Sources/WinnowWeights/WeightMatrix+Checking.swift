import CWinnow
import WinnowCore
import WinnowNumbers

/// Why arrays do not make a weight matrix.
public enum WeightError: Error, Equatable, Sendable, CustomStringConvertible {
    case badShape(name: String, rows: Int, columns: Int)
    case unevenBlocks(name: String, columns: Int, blockWidth: Int)
    case badGroup(name: String, group: Int)
    case missingPart(name: String, part: String)
    case wrongLength(name: String, part: String, bytes: Int, expected: Int)
    case badRowOffsets(name: String, row: Int)
    case maskDisagrees(name: String, row: Int, bits: Int, values: Int)
    case maskPastColumns(name: String, row: Int)
    case notFinite(name: String, row: Int)
    case tooLarge(name: String, bytes: Int)
    case cannotEncode(name: String, format: String)

    public var description: String {
        switch self {
        case .badShape(let name, let rows, let columns): "\(name): impossible shape [\(rows), \(columns)]"
        case .unevenBlocks(let name, let columns, let width):
            "\(name): \(columns) columns are not a multiple of \(width), which this format needs"
        case .badGroup(let name, let group): "\(name): groups of \(group); 32, 64 and 128 can be run"
        case .missingPart(let name, let part): "\(name): the \(part) are missing"
        case .wrongLength(let name, let part, let bytes, let expected):
            "\(name): \(bytes) bytes of \(part), expected \(expected)"
        case .badRowOffsets(let name, let row):
            "\(name): row offset \(row) is out of order or past the values"
        case .maskDisagrees(let name, let row, let bits, let values):
            "\(name): row \(row) has \(bits) bits in its mask but \(values) bytes of values"
        case .maskPastColumns(let name, let row):
            "\(name): the mask of row \(row) has bits past the last column"
        case .notFinite(let name, let row): "\(name): row \(row) holds NaN or infinity; is the file damaged?"
        case .tooLarge(let name, let bytes):
            "\(name): \(Format.bytes(bytes)) of kept values; 4 GiB is the most"
        case .cannotEncode(let name, let format):
            "\(name): \(format) can be read, not written; choose another format"
        }
    }
}

extension WeightMatrix {
    /// - Returns: whether every four columns keep exactly two, which some kernels read faster.
    static func check(
        format: WeightFormat, rows: Int, columns: Int, group: Int, _ parts: Parts, _ name: String
    ) throws(WeightError) -> Bool {
        func expect(_ part: StorageSlice?, _ label: String, _ bytes: Int) throws(WeightError) {
            guard bytes > 0 else { return }
            guard let part else { throw .missingPart(name: name, part: label) }
            guard part.byteCount == bytes else {
                throw .wrongLength(name: name, part: label, bytes: part.byteCount, expected: bytes)
            }
        }
        try expect(
            parts.scales, "scales", format.scaleBytes(rows: rows, columns: columns, group: max(group, 1)))
        guard format.isMasked else {
            try expect(parts.values, "values", rows * format.rowBytes(columns: columns))
            return false
        }
        let stride = format.maskStride(columns: columns)
        let units = columns / format.maskColumns
        try expect(parts.mask, "mask", rows * stride)
        try expect(parts.rowOffsets, "row offsets", (rows + 1) * 4)
        let mask = parts.mask!.bytes
        let offsets = parts.rowOffsets!.bytes
        var start = Int(offsets.loadUnaligned(as: UInt32.self))
        guard start == 0 else { throw .badRowOffsets(name: name, row: 0) }
        var isTwoOfFour = columns % 64 == 0 && format.maskColumns == 1
        for row in 0..<rows {
            let end = Int(offsets.loadUnaligned(fromByteOffset: (row + 1) * 4, as: UInt32.self))
            guard end >= start, end <= parts.values.byteCount else {
                throw .badRowOffsets(name: name, row: row + 1)
            }
            var expected = 0
            var bits = 0
            for word in 0..<(stride / 8) {
                let value = mask.loadUnaligned(fromByteOffset: row * stride + word * 8, as: UInt64.self)
                let kept = value.nonzeroBitCount * format.maskColumns
                bits += value.nonzeroBitCount
                if isTwoOfFour { isTwoOfFour = keepsTwoOfFour(value) }
                expected += format.codeBits == 4 ? (kept + 1) / 2 : kept * format.codeBits / 8
                let valid = units - word * 64
                if valid < 64, value >> UInt64(valid) != 0 { throw .maskPastColumns(name: name, row: row) }
            }
            guard end - start == expected else {
                throw .maskDisagrees(name: name, row: row, bits: bits, values: end - start)
            }
            start = end
        }
        guard start == parts.values.byteCount else {
            throw .wrongLength(name: name, part: "values", bytes: parts.values.byteCount, expected: start)
        }
        return isTwoOfFour
    }

    /// Whether each four bits of a mask hold two.
    private static func keepsTwoOfFour(_ word: UInt64) -> Bool {
        let pairs = word - (word >> 1 & 0x5555_5555_5555_5555)
        let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333)
        return fours == 0x2222_2222_2222_2222
    }
}
