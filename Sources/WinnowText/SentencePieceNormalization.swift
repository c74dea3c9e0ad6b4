/// What SentencePiece does to a text: replacements of a map, spaces trimmed and marked, a mark put first.
///
/// - Source: `Normalizer::Normalize` of SentencePiece.
struct SentencePieceNormalization: Sendable, Equatable {
    var map: CharacterMap?
    /// A mark before a text (`add_dummy_prefix`), or after it.
    var addsMark = true
    var marksEnd = false
    var removesExtraSpaces = true
    /// Spaces become U+2581.
    var marksSpaces = true
    /// User-defined pieces, which are left as they are.
    var pieces: [String] = [] {
        didSet { matcher = AddedTokenMatcher(texts: pieces) }
    }
    private var matcher = AddedTokenMatcher(texts: [])

    /// Spaces marked, nothing else: what a `llama` tokenizer of a GGUF file does.
    static func plain(addsMark: Bool) -> SentencePieceNormalization {
        var rules = SentencePieceNormalization()
        rules.addsMark = addsMark
        rules.removesExtraSpaces = false
        return rules
    }

    static func == (left: SentencePieceNormalization, right: SentencePieceNormalization) -> Bool {
        left.map == right.map && left.addsMark == right.addsMark && left.marksEnd == right.marksEnd
            && left.removesExtraSpaces == right.removesExtraSpaces && left.marksSpaces == right.marksSpaces
            && left.pieces == right.pieces
    }

    func normalize(_ bytes: [UInt8]) -> [UInt8] {
        let mark: [UInt8] = marksSpaces ? SpaceMarks.mark : [0x20]
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2 + 8)
        if addsMark, !marksEnd { output += mark }
        var isAfterSpace = removesExtraSpaces
        var hasOther = false
        bytes.withUnsafeBufferPointer { text in
            var position = 0
            while position < text.count {
                if let stop = matcher.end(in: text, at: position) {
                    hasOther = true
                    append(text[position..<stop], &isAfterSpace, mark, to: &output)
                    position = stop
                } else if let map, let found = map.longest(text, position) {
                    let part = map.text(found.text)
                    if !part.elementsEqual([0x20]) { hasOther = true }
                    append(part, &isAfterSpace, mark, to: &output)
                    position = found.end
                } else if text[position] == 0x20 {
                    if !isAfterSpace { output += mark }
                    isAfterSpace = removesExtraSpaces
                    position += 1
                } else {
                    repeat {
                        output.append(text[position])
                        position += 1
                    } while position < text.count && text[position] & 0xC0 == 0x80
                    isAfterSpace = false
                    hasOther = true
                }
            }
        }
        if removesExtraSpaces {
            // Nothing but spaces gives nothing, not even a mark.
            if !hasOther { return [] }
            while output.count >= mark.count, output.suffix(mark.count).elementsEqual(mark) {
                output.removeLast(mark.count)
            }
        }
        if addsMark, marksEnd { output += mark }
        return output
    }

    /// A replacement, whose spaces at the start go when a space is before it.
    private func append(
        _ part: Slice<UnsafeBufferPointer<UInt8>>, _ isAfterSpace: inout Bool, _ mark: [UInt8],
        to output: inout [UInt8]
    ) {
        var part = part
        while isAfterSpace, part.first == 0x20 { part.removeFirst() }
        guard !part.isEmpty else { return }
        for byte in part { if byte == 0x20 { output += mark } else { output.append(byte) } }
        isAfterSpace = removesExtraSpaces && part.last == 0x20
    }

    private func append(
        _ part: ArraySlice<UInt8>, _ isAfterSpace: inout Bool, _ mark: [UInt8], to output: inout [UInt8]
    ) {
        part.withUnsafeBufferPointer { append($0[...], &isAfterSpace, mark, to: &output) }
    }
}
