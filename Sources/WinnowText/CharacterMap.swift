/// SentencePiece's `precompiled_charsmap`: replacements of byte strings, looked up in a trie of one array.
///
/// Each entry packs an offset, the label of the byte that leads to it and whether a value hangs below it; a value
/// is where in the list of texts, each ended by a zero byte, the replacement begins.
///
/// - Source: `Normalizer` of SentencePiece, over Darts-clone's double arrays.
public struct CharacterMap: Sendable, Equatable {
    private let units: [UInt32]
    private let texts: [UInt8]
    /// Looks at whole clusters first and takes the shortest match, as Hugging Face's `tokenizers`; otherwise the
    /// longest match at each place, as SentencePiece.
    var followsClusters = false

    /// The bytes as they stand in models.
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) throws(TokenizerError) {
        func fail(_ reason: String) -> TokenizerError {
            .malformed("precompiled_charsmap", reason: reason)
        }
        guard bytes.count >= 4 else { throw fail("\(bytes.count) bytes are too few") }
        func word(_ index: Int) -> UInt32 {
            UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16
                | UInt32(bytes[index + 3]) << 24
        }
        let size = Int(word(0))
        guard size % 4 == 0, size >= 4, size <= bytes.count - 4 else {
            throw fail("a trie of \(size) bytes in \(bytes.count)")
        }
        units = stride(from: 4, to: 4 + size, by: 4).map(word)
        texts = Array(bytes[(4 + size)...])
        guard texts.isEmpty || texts.last == 0 else { throw fail("the last text has no end") }
        self.bytes = bytes
    }

    func normalize(_ bytes: [UInt8]) -> [UInt8] { followsClusters ? byClusters(bytes) : byLongest(bytes) }

    private func byLongest(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        var position = 0
        while position < bytes.count {
            if let found = bytes.withUnsafeBufferPointer({
                match($0, position, bytes.count, takesLongest: true)
            }) {
                append(found.text, to: &output)
                position = found.end
                continue
            }
            repeat {
                output.append(bytes[position])
                position += 1
            } while position < bytes.count && bytes[position] & 0xC0 == 0x80
        }
        return output
    }

    private func byClusters(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        func transformed(_ part: [UInt8]) -> Bool {
            guard
                let found = part.withUnsafeBufferPointer({ match($0, 0, part.count, takesLongest: false) })
            else { return false }
            append(found.text, to: &output)
            return true
        }
        for cluster in String(decoding: bytes, as: UTF8.self) {
            let part = Array(cluster.utf8)
            if part.count < 6, transformed(part) { continue }
            for scalar in cluster.unicodeScalars {
                let part = Array(UTF8.encode(scalar)!)
                if !transformed(part) { output.append(contentsOf: part) }
            }
        }
        return output
    }

    /// The longest key at a place: where its replacement begins, and where in the text it ends.
    func longest(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> (text: Int, end: Int)? {
        match(text, position, text.count, takesLongest: true)
    }

    /// The replacement that begins at a place.
    func text(_ start: Int) -> ArraySlice<UInt8> {
        texts[start..<(texts[start...].firstIndex(of: 0) ?? texts.endIndex)]
    }

    /// A key at a place: where its replacement begins, and where in the text it ends.
    private func match(
        _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int, takesLongest: Bool
    ) -> (text: Int, end: Int)? {
        func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & (1 << 9)) >> 6)) }
        var found: (Int, Int)?
        var node = offset(units[0])
        for position in start..<end {
            let byte = bytes[position]
            if byte == 0 { break }
            node ^= Int(byte)
            // Offsets come from the file: one that leaves the array ends the key.
            guard node < units.count else { break }
            let unit = units[node]
            guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { break }
            node ^= offset(unit)
            guard node < units.count else { break }
            if unit & (1 << 8) != 0 {
                let text = Int(units[node] & 0x7FFF_FFFF)
                guard text < texts.count else { break }
                found = (text, position + 1)
                if !takesLongest { break }
            }
        }
        return found
    }

    private func append(_ text: Int, to output: inout [UInt8]) {
        var index = text
        while index < texts.count, texts[index] != 0 {
            output.append(texts[index])
            index += 1
        }
    }
}
