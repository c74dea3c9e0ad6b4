/// Cuts a word into the longest pieces from its start; a word that cannot be cut wholly is one unknown token.
///
/// - Source: `WordpieceTokenizer` of the BERT release.
struct WordPieceModel: Sendable {
    /// Pieces that begin a word, and those that go on in one, without their marks.
    private let starts: ByteKeyTable
    private let startIDs: [TokenID]
    private let rests: ByteKeyTable
    private let restIDs: [TokenID]
    private let longest: Int
    private let unknown: TokenID
    /// Longer words, in scalars, are unknown.
    private let maximumLength: Int

    init(_ definition: TokenizerDefinition) throws(TokenizerError) {
        guard let unknown = definition.unknownID else {
            throw .missingKey("unknown token", expected: "the id of a token for what has no piece")
        }
        var starts = ByteKeyTable(capacity: definition.tokens.count)
        var rests = ByteKeyTable(capacity: definition.tokens.count)
        var startIDs: [TokenID] = []
        var restIDs: [TokenID] = []
        var longest = 1
        for (id, token) in definition.tokens.enumerated() {
            guard let (isStart, text) = WordPieceModel.split(token, definition), !text.isEmpty else {
                continue
            }
            longest = max(longest, text.count)
            text.withUnsafeBufferPointer { text in
                // Of equal spellings the first counts.
                if isStart {
                    _ = starts.append(text)
                    startIDs.append(TokenID(id))
                } else {
                    _ = rests.append(text)
                    restIDs.append(TokenID(id))
                }
            }
        }
        self.starts = starts
        self.startIDs = startIDs
        self.rests = rests
        self.restIDs = restIDs
        self.longest = longest
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

    func encode(_ word: UnsafeBufferPointer<UInt8>, into output: inout [TokenID]) {
        let before = output.count
        var scalars = 0
        for byte in word where byte & 0xC0 != 0x80 { scalars += 1 }
        guard scalars <= maximumLength else {
            output.append(unknown)
            return
        }
        var start = 0
        while start < word.count {
            var stop = min(word.count, start + longest)
            var found: TokenID?
            while stop > start {
                if stop == word.count || word[stop] & 0xC0 != 0x80 {
                    let part = UnsafeBufferPointer(rebasing: word[start..<stop])
                    found =
                        start == 0
                        ? starts.find(part).map { startIDs[$0] } : rests.find(part).map { restIDs[$0] }
                    if found != nil { break }
                }
                stop -= 1
            }
            guard let found else {
                output.removeSubrange(before...)
                output.append(unknown)
                return
            }
            output.append(found)
            start = stop
        }
    }
}
