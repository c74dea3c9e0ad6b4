import WinnowCore

/// Damages bytes the way hostile and broken files are damaged, the same way for the same seed.
public struct ByteMutator {
    private var random: Random

    public init(seed: UInt64) { random = Random(seed: seed) }

    /// Numbers at which readers that trust a file break.
    private static let extremes: [UInt64] = [
        0, 1, 2, 3, 31, 33, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
        0x1_0000_0000, 1 << 40, 1 << 56, 1 << 61, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 63) + 1,
        0xFFFF_FFFF_FFFF_FFE0, 0xFFFF_FFFF_FFFF_FFF8, 0xFFFF_FFFF_FFFF_FFFF,
    ]

    /// Pieces that texts are spoilt with.
    private static let pieces: [String] = [
        "-1", "0", "1e999", "18446744073709551615", "9223372036854775808", "4294967296", "0.5", "null", "true",
        "[]", "{}", "\"\"", "\"../x\"", ",", ":", "\"", "\\u0000", "\\ud800", "[[[[[[[[", "\u{0}", "\u{FEFF}", "\t",
    ]

    /// One to four mutations of `bytes`.
    ///
    /// - Parameter window: most mutations fall into this many first bytes, where headers are.
    public mutating func mutated(_ bytes: [UInt8], window: Int = .max) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(4) { mutate(&bytes, window: window) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8], window: Int) {
        let limit = below(8) == 0 ? bytes.count : min(window, bytes.count)
        guard limit > 0 else { return bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        let position = below(limit)
        switch below(10) {
        case 0: bytes[position] ^= 1 << UInt8(below(8))
        case 1: bytes[position] = UInt8(truncatingIfNeeded: random.next())
        case 2, 3, 4: overwrite(&bytes, at: position)
        case 5: bytes.removeSubrange(position..<min(bytes.count, position + 1 + below(16)))
        case 6:
            let end = min(bytes.count, position + 1 + below(64))
            bytes.insert(contentsOf: Array(bytes[position..<end]), at: below(limit))
        case 7:
            let piece = Array(ByteMutator.pieces[below(ByteMutator.pieces.count)].utf8)
            bytes.replaceSubrange(position..<min(bytes.count, position + below(4)), with: piece)
        case 8: replaceNumber(&bytes, from: position)
        default: if below(4) == 0 { bytes.removeSubrange(position...) } else { overwrite(&bytes, at: position) }
        }
    }

    /// A number of 4 or 8 bytes in place of what stands there.
    private mutating func overwrite(_ bytes: inout [UInt8], at position: Int) {
        let value = ByteMutator.extremes[below(ByteMutator.extremes.count)]
        for byte in 0..<(below(2) == 0 ? 4 : 8) where position + byte < bytes.count {
            bytes[position + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))
        }
    }

    /// The next digits of a text, replaced by another number.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from position: Int) {
        let isDigit: (UInt8) -> Bool = { $0 >= 0x30 && $0 <= 0x39 }
        guard let start = bytes[position...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        let value = ByteMutator.extremes[below(ByteMutator.extremes.count)]
        bytes.replaceSubrange(start..<end, with: Array("\(value)".utf8))
    }

    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
}
