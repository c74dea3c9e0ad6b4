/// The first pieces of a word whose merges join characters, not bytes: SentencePiece's BPE.
struct CharacterPieces: Sendable {
    private let pieces: ByteKeyTable
    /// The tokens of ASCII characters, -1 for none.
    private let ascii: [TokenID]
    /// The tokens of bytes, for characters that are no token; -1 for none.
    private let byteIDs: [TokenID]
    /// For what has not even those; -1 leaves it out.
    private let unknown: TokenID
    private let fusesUnknown: Bool

    init(_ definition: TokenizerDefinition, pieces: ByteKeyTable, byteIDs: [TokenID]) {
        self.pieces = pieces
        self.byteIDs = definition.hasByteFallback ? byteIDs : [TokenID](repeating: -1, count: 256)
        unknown = definition.unknownID ?? -1
        fusesUnknown = definition.fusesUnknown
        ascii = (UInt8(0)..<128).map { byte in
            TokenID(pieces.find(String(Unicode.Scalar(byte))) ?? -1)
        }
    }

    /// Writes the first pieces of a word, at most one a byte; returns how many.
    @inline(__always)
    func write(_ word: UnsafeBufferPointer<UInt8>, to output: UnsafeMutablePointer<TokenID>) -> Int {
        var count = 0
        var start = 0
        var wasUnknown = false
        while start < word.count {
            var stop = start + 1
            while stop < word.count, word[stop] & 0xC0 == 0x80 { stop += 1 }
            var id = stop - start == 1 ? ascii[Int(word[start] & 0x7F)] : -1
            if stop - start > 1, let found = pieces.find(UnsafeBufferPointer(rebasing: word[start..<stop])) {
                id = TokenID(found)
            }
            var isUnknown = false
            if id >= 0 {
                output[count] = id
                count += 1
            } else if word[start..<stop].allSatisfy({ byteIDs[Int($0)] >= 0 }) {
                for index in start..<stop {
                    output[count] = byteIDs[Int(word[index])]
                    count += 1
                }
            } else if unknown >= 0 {
                isUnknown = true
                if !(wasUnknown && fusesUnknown) {
                    output[count] = unknown
                    count += 1
                }
            }
            wasUnknown = isUnknown
            start = stop
        }
        return count
    }

    /// The token of each byte spelled `<0x00>` to `<0xFF>`, -1 for those that are missing.
    static func byteIDs(_ pieces: ByteKeyTable) -> [TokenID] {
        let digits = Array("0123456789ABCDEF")
        return (0..<256).map { byte in
            TokenID(pieces.find("<0x\(digits[byte >> 4])\(digits[byte & 15])>") ?? -1)
        }
    }

    /// The byte that a token spells as `<0x0A>`.
    static func byte(_ token: String) -> UInt8? {
        let bytes = Array(token.utf8)
        guard bytes.count == 6, bytes.starts(with: "<0x".utf8), bytes[5] == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(decoding: bytes[3..<5], as: UTF8.self), radix: 16)
    }
}
