/// Unicode's normalization forms: C and D, KC and KD.
///
/// - Source: Unicode Standard Annex 15; Hangul syllables after the Unicode Standard, section 3.12.
struct UnicodeForm: Sendable, Equatable {
    /// Form C composes what form D takes apart.
    var composes: Bool
    /// Forms KC and KD, which also take apart what only looks different.
    var isCompatible = false

    var name: String { "NF" + (isCompatible ? "K" : "") + (composes ? "C" : "D") }

    func normalize(_ bytes: [UInt8]) -> [UInt8] {
        // Most text has nothing to do: below U+00C0 there is no decomposition, and below U+0300 form C stands.
        let first: UInt8 = isCompatible ? 0xC2 : composes ? 0xCC : 0xC3
        guard bytes.contains(where: { $0 >= first }) else { return bytes }
        var scalars: [(value: UInt32, order: UInt8)] = []
        scalars.reserveCapacity(bytes.count)
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if isCompatible, scalar.value >= 0xA0, let parts = UnicodeForm.compatible[scalar.value] {
                for part in parts { scalars.append((part, UnicodeForm.order(part))) }
            } else {
                UnicodeForm.decompose(scalar.value, into: &scalars)
            }
        }
        UnicodeForm.sort(&scalars)
        if composes { scalars = UnicodeForm.compose(scalars) }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        for scalar in scalars {
            output.append(contentsOf: UTF8.encode(Unicode.Scalar(scalar.value) ?? "\u{FFFD}")!)
        }
        return output
    }

    private struct Tables: Sendable {
        var parts: [UInt32: (UInt32, UInt32)] = [:]
        var compositions: [UInt64: UInt32] = [:]
    }

    private static let tables: Tables = {
        var tables = Tables()
        tables.parts.reserveCapacity(decompositions.count / 3)
        for index in stride(from: 0, to: decompositions.count, by: 3) {
            let scalar = decompositions[index] >> 1
            let (first, second) = (decompositions[index + 1], decompositions[index + 2])
            tables.parts[scalar] = (first, second)
            if decompositions[index] & 1 == 1 {
                tables.compositions[UInt64(first) << 32 | UInt64(second)] = scalar
            }
        }
        return tables
    }()

    private static func decompose(_ value: UInt32, into output: inout [(value: UInt32, order: UInt8)]) {
        if value < 0xC0 {
            output.append((value, 0))
            return
        }
        if value &- 0xAC00 < 11172 {
            let index = value - 0xAC00
            output.append((0x1100 + index / 588, 0))
            output.append((0x1161 + index % 588 / 28, 0))
            if index % 28 > 0 { output.append((0x11A7 + index % 28, 0)) }
            return
        }
        if let (first, second) = tables.parts[value] {
            decompose(first, into: &output)
            if second != 0 { decompose(second, into: &output) }
            return
        }
        output.append((value, order(value)))
    }

    private static func order(_ value: UInt32) -> UInt8 {
        guard value >= 0x300 else { return 0 }
        return Unicode.Scalar(value)?.properties.canonicalCombiningClass.rawValue ?? 0
    }

    /// What form KD makes of scalars, where that is not form D.
    private static let compatible: [UInt32: ArraySlice<UInt32>] = {
        var result: [UInt32: ArraySlice<UInt32>] = [:]
        var index = 0
        while index < compatibility.count {
            let (scalar, run) = (compatibility[index], compatibility[index + 1] >> 8)
            let parts = compatibility[(index + 2)..<(index + 2 + Int(compatibility[index + 1] & 0xFF))]
            for offset in 0..<run {
                result[scalar + offset] = offset == 0 ? parts : [parts[parts.startIndex] + offset]
            }
            index = parts.endIndex
        }
        return result
    }()

    /// Orders marks between starters by their class, stably.
    private static func sort(_ scalars: inout [(value: UInt32, order: UInt8)]) {
        var index = 0
        while index < scalars.count {
            guard scalars[index].order > 0 else {
                index += 1
                continue
            }
            var stop = index
            var isSorted = true
            while stop < scalars.count, scalars[stop].order > 0 {
                if stop > index, scalars[stop].order < scalars[stop - 1].order { isSorted = false }
                stop += 1
            }
            if !isSorted {
                // The standard library's sort is stable in fact but not in its contract.
                let sorted = scalars[index..<stop].enumerated().sorted {
                    ($0.element.order, $0.offset) < ($1.element.order, $1.offset)
                }
                scalars.replaceSubrange(index..<stop, with: sorted.map(\.element))
            }
            index = stop
        }
    }

    private static func compose(
        _ scalars: [(value: UInt32, order: UInt8)]
    ) -> [(value: UInt32, order: UInt8)] {
        var output: [(value: UInt32, order: UInt8)] = []
        output.reserveCapacity(scalars.count)
        var starter = -1
        for scalar in scalars {
            // What stands between keeps a scalar from its starter when its class is as high, or 0.
            let isBlocked = starter < output.count - 1 && (output[output.count - 1].order >= scalar.order)
            if starter >= 0, !isBlocked, let composed = pair(output[starter].value, scalar.value) {
                output[starter].value = composed
                continue
            }
            output.append(scalar)
            if scalar.order == 0 { starter = output.count - 1 }
        }
        return output
    }

    private static func pair(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first &- 0x1100 < 19, second &- 0x1161 < 21 {
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        }
        if first &- 0xAC00 < 11172, (first - 0xAC00) % 28 == 0, second &- 0x11A8 < 27 {
            return first + second - 0x11A7
        }
        return tables.compositions[UInt64(first) << 32 | UInt64(second)]
    }
}
