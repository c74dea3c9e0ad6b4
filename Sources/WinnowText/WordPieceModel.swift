/// Cuts a word into the longest pieces from its start; a word that cannot be cut wholly is one unknown token.
///
/// - Source: `WordpieceTokenizer` of the BERT release.
struct WordPieceModel: Sendable {
    /// Pieces that begin a word, and those that go on in one, without their marks.
    private let starts: PieceTrie
    private let rests: PieceTrie
    private let unknown: TokenID
    /// Longer words, in scalars, are unknown.
    private let maximumLength: Int

    init(_ definition: TokenizerDefinition) throws(TokenizerError) {
        guard let unknown = definition.unknownID else {
            throw .missingKey("unknown token", expected: "the id of a token for what has no piece")
        }
        var starts: [(text: [UInt8], number: Int)] = []
        var rests: [(text: [UInt8], number: Int)] = []
        for (id, token) in definition.tokens.enumerated() {
            guard let (isStart, text) = WordPieceModel.split(token, definition), !text.isEmpty else {
                continue
            }
            if isStart { starts.append((text, id)) } else { rests.append((text, id)) }
        }
        self.starts = PieceTrie(starts)
        self.rests = PieceTrie(rests)
        self.unknown = unknown
        maximumLength = definition.maximumWordLength
    }

    /// Whether a token begins words, and its text. In tokenizer.json those that do not are marked, with `##` mostly;
    /// in GGUF files those that do, with U+2581.
    static func split(_ token: String, _ definition: TokenizerDefinition) -> (isStart: Bool, text: [UInt8])? {
        let bytes = Array(token.utf8)
        guard let prefix = definition.continuingPrefix else {
            if bytes.starts(with: SpaceMarks.mark) { return (true, Array(bytes[3...])) }
            return (false, bytes)
        }
        if !prefix.isEmpty, bytes.starts(with: prefix.utf8) {
            return (false, Array(bytes[prefix.utf8.count...]))
        }
        return (true, bytes)
    }

    /// Writes the ids of a word, at most one a byte, and returns how many.
    func encode(_ word: UnsafeBufferPointer<UInt8>, to output: UnsafeMutablePointer<TokenID>) -> Int {
        var count = 0
        if word.count > maximumLength {
            var scalars = 0
            for byte in word where byte & 0xC0 != 0x80 { scalars += 1 }
            if scalars > maximumLength {
                output[0] = unknown
                return 1
            }
        }
        var start = 0
        while start < word.count {
            guard let (id, end) = longest(start == 0 ? starts : rests, word, start) else {
                output[0] = unknown
                return 1
            }
            output[count] = TokenID(truncatingIfNeeded: id)
            count += 1
            start = end
        }
        return count
    }

    @inline(__always)
    private func longest(
        _ trie: PieceTrie, _ word: UnsafeBufferPointer<UInt8>, _ start: Int
    ) -> (id: Int, end: Int)? {
        trie.units.withUnsafeBufferPointer { units in
            var found: (id: Int, end: Int)?
            var node = PieceTrie.root
            var stop = start
            while stop < word.count, let next = PieceTrie.child(of: node, by: word[stop], in: units) {
                node = next
                stop += 1
                let id = PieceTrie.number(node)
                if id >= 0 { found = (id, stop) }
            }
            return found
        }
    }
}
