import WinnowCore
import WinnowText

/// Tokenized documents: ids, which of them are learned, and where each came from; in memory or in a mapped
/// file.
public final class TokenStore: Sendable {
    /// What the documents came from: a file, for messages.
    public let source: String
    public let tokenCount: Int
    public let documentCount: Int
    /// An id a token in 31 bits; the highest bit is set where it is learned.
    private let words: StorageSlice
    /// Two numbers a document: its first token, and its line times two, plus one where it may be cut. Then
    /// the end.
    private let table: StorageSlice

    static let learnedBit: UInt32 = 1 << 31

    init(source: String, words: StorageSlice, table: StorageSlice) {
        self.source = source
        self.words = words
        self.table = table
        tokenCount = words.byteCount / 4
        documentCount = table.byteCount / 16 - 1
    }

    /// Documents in memory; all of their tokens are learned.
    public convenience init(source: String, documents: [[TokenID]]) {
        let sink = TokenSink(tokens: [], table: [])
        for (index, document) in documents.enumerated() {
            sink.begin(line: index + 1, mayBeCut: true)
            for id in document { sink.tokens.append(UInt32(bitPattern: id) | Self.learnedBit) }
        }
        self.init(source: source, sink)
    }

    convenience init(source: String, _ sink: TokenSink) {
        sink.end()
        self.init(
            source: source, words: StorageSlice(copying: sink.tokens),
            table: StorageSlice(copying: sink.table))
    }

    private func number(_ index: Int) -> UInt64 {
        table.bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
    }

    /// The tokens of a document.
    public func range(_ document: Int) -> Range<Int> {
        Int(number(2 * document))..<Int(number(2 * document + 2))
    }
    /// The line of the source that a document stands on.
    public func line(_ document: Int) -> Int { Int(number(2 * document + 1) >> 1) }
    /// Whether a document may go on in another window: plain text may, conversations may not.
    public func mayBeCut(_ document: Int) -> Bool { number(2 * document + 1) & 1 == 1 }

    func word(_ token: Int) -> UInt32 {
        words.bytes.loadUnaligned(fromByteOffset: 4 * token, as: UInt32.self)
    }
    public func id(_ token: Int) -> TokenID { TokenID(word(token) & ~Self.learnedBit) }
    public func isLearned(_ token: Int) -> Bool { word(token) & Self.learnedBit != 0 }
    public func ids(_ range: Range<Int>) -> [TokenID] { range.map(id) }
}

/// Collects tokenized documents, in memory or into a file.
final class TokenSink {
    var tokens: [UInt32]
    var table: [UInt64]
    private(set) var tokenCount = 0

    init(tokens: [UInt32], table: [UInt64]) {
        self.tokens = tokens
        self.table = table
    }

    /// Tokens that were written out of ``tokens``.
    func written(_ count: Int) {
        tokenCount += count
        tokens.removeAll(keepingCapacity: true)
    }

    func begin(line: Int, mayBeCut: Bool) {
        table.append(UInt64(tokenCount + tokens.count))
        table.append(UInt64(line) << 1 | (mayBeCut ? 1 : 0))
    }

    func append(_ ids: [TokenID], learned: [Range<Int>]) {
        let start = tokens.count
        for id in ids { tokens.append(UInt32(bitPattern: id)) }
        for range in learned {
            for index in range { tokens[start + index] |= TokenStore.learnedBit }
        }
    }

    func end() {
        table.append(UInt64(tokenCount + tokens.count))
        table.append(0)
    }
}
