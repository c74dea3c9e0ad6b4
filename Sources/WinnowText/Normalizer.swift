/// What is done to a text before it is cut into words: steps in their order.
///
/// - Source: the `normalizer` of tokenizer.json, and the `normalizer_spec` of SentencePiece.
public struct Normalizer: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        case replace([UInt8], with: [UInt8])
        /// Two or more spaces become the second text.
        case replaceSpaces(with: [UInt8])
        case prepend([UInt8])
        case append([UInt8])
        case lowercase
        /// What SentencePiece's first rules did: controls left out, white space of all kinds made a space.
        case nmt
        /// A space before a text that does not begin with one.
        case prependSpace
        /// Leaves out marks (`\p{M}`).
        case removeMarks
        case strip(left: Bool, right: Bool)
        /// White space at both ends is left out, a run of it between becomes one space; none is needed where the
        /// text itself has U+2581.
        case collapseSpaces
        case bert(BERTNormalization)
        case precompiled(CharacterMap)
        case unicode(UnicodeForm)
        case sentencePiece(SentencePieceNormalization)
    }

    var steps: [Step] = []

    public var isEmpty: Bool { steps.isEmpty }

    /// The normalized form of valid UTF-8.
    func normalize(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var bytes = Array(text)
        for step in steps where !bytes.isEmpty { bytes = Normalizer.apply(step, to: bytes) }
        return bytes
    }

    func normalize(_ text: String) -> [UInt8] {
        var text = text
        return text.withUTF8 { normalize($0) }
    }

    private static func apply(_ step: Step, to bytes: [UInt8]) -> [UInt8] {
        switch step {
        case .replace(let part, let other): return replace(part, with: other, in: bytes)
        case .replaceSpaces(let other): return replaceSpaces(with: other, in: bytes)
        case .prepend(let start): return start + bytes
        case .append(let end): return bytes + end
        case .nmt:
            return map(bytes) { scalar, output in
                switch scalar.value {
                case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
                case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF,
                    0xFFFD:
                    output.append(0x20)
                default: output.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
        case .prependSpace: return bytes.first == 0x20 ? bytes : [0x20] + bytes
        case .lowercase:
            return map(bytes) { $1.append(contentsOf: $0.properties.lowercaseMapping.utf8) }
        case .removeMarks:
            return map(bytes) { scalar, output in
                switch scalar.properties.generalCategory {
                case .nonspacingMark, .spacingMark, .enclosingMark: break
                default: output.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
        case .strip(let left, let right): return strip(bytes, left: left, right: right)
        case .collapseSpaces: return collapseSpaces(bytes)
        case .bert(let rules): return rules.normalize(bytes)
        case .precompiled(let table): return table.normalize(bytes)
        case .unicode(let form): return form.normalize(bytes)
        case .sentencePiece(let rules): return rules.normalize(bytes)
        }
    }

    /// Each scalar through `body`, which appends what it becomes.
    static func map(_ bytes: [UInt8], _ body: (Unicode.Scalar, inout [UInt8]) -> Void) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars { body(scalar, &output) }
        return output
    }

    private static func replace(_ part: [UInt8], with other: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        guard let first = part.first else { return bytes }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2)
        var index = 0
        while index < bytes.count {
            if bytes[index] == first, bytes.count - index >= part.count,
                part.indices.allSatisfy({ bytes[index + $0] == part[$0] })
            {
                output.append(contentsOf: other)
                index += part.count
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return output
    }

    private static func replaceSpaces(with other: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            var stop = index
            while stop < bytes.count, bytes[stop] == 0x20 { stop += 1 }
            if stop - index >= 2 {
                output.append(contentsOf: other)
                index = stop
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return output
    }

    private static func strip(_ bytes: [UInt8], left: Bool, right: Bool) -> [UInt8] {
        var scalars = Substring(decoding: bytes, as: UTF8.self).unicodeScalars
        while left, let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
        while right, let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return Array(String(scalars).utf8)
    }

    private static func collapseSpaces(_ bytes: [UInt8]) -> [UInt8] {
        var isBetween = false
        var isPending = false
        return map(bytes) { scalar, output in
            if scalar.properties.isWhitespace {
                isPending = isBetween
                return
            }
            if isPending, scalar.value != 0x2581 { output.append(0x20) }
            isPending = false
            isBetween = true
            output.append(contentsOf: UTF8.encode(scalar)!)
        }
    }
}

/// Spaces made visible as U+2581 where words begin, as `Metaspace` does.
public struct SpaceMarks: Sendable, Equatable {
    enum Prefix: Sendable, Equatable { case never, first, always }

    /// Where a mark is put before a text that does not begin with one.
    var prefix = Prefix.always

    static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    func apply(to bytes: [UInt8], isFirst: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2 + 3)
        let wantsPrefix = prefix == .always || (prefix == .first && isFirst)
        if wantsPrefix, bytes.first != 0x20, !bytes.starts(with: SpaceMarks.mark) {
            output.append(contentsOf: SpaceMarks.mark)
        }
        for byte in bytes {
            if byte == 0x20 { output.append(contentsOf: SpaceMarks.mark) } else { output.append(byte) }
        }
        return output
    }
}
