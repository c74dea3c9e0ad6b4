import WinnowJSON

public typealias TokenID = Int32

/// What a token is for; the numbers are those of GGUF's `tokenizer.ggml.token_type`.
public enum TokenKind: Int32, Sendable {
    case normal = 1
    case unknown = 2
    case control = 3
    case userDefined = 4
    case unused = 5
    case byte = 6
}

/// Everything a tokenizer is made of, whatever file it came from.
public struct TokenizerDefinition: Sendable {
    /// Two tokens that become one; a merge's rank is its place in the list.
    public struct Merge: Sendable, Equatable {
        public var left: TokenID
        public var right: TokenID
        public var merged: TokenID
    }

    /// A token that is found in the text before it is cut into words.
    public struct AddedToken: Sendable, Equatable {
        public var id: TokenID
        public var content: String
        /// A control token: left out of decoded text on request, not recognised in text taken as text.
        public var isSpecial: Bool
        /// White space before it belongs to it.
        public var stripsLeft = false
        /// White space after it belongs to it.
        public var stripsRight = false
        /// Found only after tokens without this flag were.
        public var isNormalized = false
    }

    public internal(set) var model = TokenizerModel.byteLevelBPE
    /// Spellings by id: of a byte-level model's normal tokens in GPT-2's byte alphabet, of others as they are.
    public internal(set) var tokens: [String]
    /// A kind per token.
    public internal(set) var kinds: [TokenKind]
    /// In order of id.
    public internal(set) var addedTokens: [AddedToken]
    /// Best first.
    public internal(set) var merges: [Merge]
    /// A score per token of SentencePiece models, else empty.
    public internal(set) var scores: [Float] = []
    public internal(set) var normalizer = Normalizer()
    /// Nil where spaces stay spaces, or the normalizer marks them.
    public internal(set) var spaceMarks: SpaceMarks?
    public internal(set) var preTokenizer: PreTokenizer
    /// Whether a whole word that is a token is taken before any merge.
    public internal(set) var ignoresMerges: Bool
    public internal(set) var bosID: TokenID?
    public internal(set) var eosID: TokenID?
    public internal(set) var unknownID: TokenID?
    public internal(set) var paddingID: TokenID?
    /// Further ids that end a generation, as generation_config.json gives them.
    public internal(set) var endIDs: [TokenID] = []
    public internal(set) var addsBOS: Bool
    public internal(set) var addsEOS: Bool
    public var chatTemplate: String?

    /// Whether characters without a token are spelled with tokens of bytes.
    var hasByteFallback = false
    /// Whether unknown characters that follow one another are one token.
    var fusesUnknown = false
    /// Whether tokens of every kind take part by their scores, as in tokenizer.json.
    var scoresCoverAll = false
    /// Whether user-defined tokens stand in normalized text as they are spelled, and scores add up as in
    /// SentencePiece itself.
    var isSentencePiece = false
    /// Whether a space that the normalizer put first is left out of decoded text.
    var stripsFirstSpace = false
    /// Before pieces that go on in a word; nil where those that begin one are marked.
    var continuingPrefix: String?
    /// Longer words of WordPiece models are unknown.
    var maximumWordLength = 100

    /// The name under `tokenizer.ggml.model`.
    public var ggufModel: String { model.ggufName }

    /// The name under `tokenizer.ggml.pre`; `default` for kinds that have no choice.
    public var ggufPreTokenizer: String {
        model == .byteLevelBPE ? preTokenizer.name ?? "unnamed" : "default"
    }

    /// Whether a space is put before a text, as `tokenizer.ggml.add_space_prefix` says it.
    public var addsSpacePrefix: Bool { stripsFirstSpace && model != .wordPiece }

    /// `tokenizer.ggml.scores`. Merges that came without scores give each token the negative place of its first one.
    public var ggufScores: [Float] {
        guard scores.isEmpty else { return scores }
        var result = [Float](repeating: -10000, count: tokens.count)
        for id in result.indices where kinds[id] != .normal { result[id] = 0 }
        for (rank, merge) in merges.enumerated().reversed() { result[Int(merge.merged)] = -Float(rank) }
        // Single characters are never merged to: their score says nothing, but must not be above the others'.
        return result
    }

    /// Merges as GGUF and tokenizer.json spell them: two pieces with a space between.
    public var mergeTexts: [String] {
        merges.map { tokens[Int($0.left)] + " " + tokens[Int($0.right)] }
    }

    /// The spelling of a token id that may be nil.
    func text(_ id: TokenID?) -> String? { id.map { tokens[Int($0)] } }
}

extension TokenizerDefinition {
    /// The same for a model with rows for fewer tokens: added tokens without a row are never given out, as Gemma's
    /// for images.
    ///
    /// - Throws: ``TokenizerError/vocabularyMismatch(tokens:rows:token:)`` when another token has no row.
    public func fitted(to rows: Int) throws(TokenizerError) -> TokenizerDefinition {
        guard tokens.count > rows else { return self }
        let added = Set(addedTokens.map(\.id))
        if let id = (rows..<tokens.count).first(where: {
            kinds[$0] != .unused && !added.contains(TokenID($0))
        }) {
            throw .vocabularyMismatch(tokens: tokens.count, rows: rows, token: tokens[id])
        }
        var result = self
        result.tokens.removeLast(tokens.count - rows)
        result.kinds.removeLast(tokens.count - rows)
        if scores.count > rows { result.scores.removeLast(scores.count - rows) }
        result.addedTokens.removeAll { $0.id >= rows }
        func kept(_ id: TokenID?) -> TokenID? { id.flatMap { $0 < rows ? $0 : nil } }
        (result.bosID, result.eosID) = (kept(bosID), kept(eosID))
        (result.unknownID, result.paddingID) = (kept(unknownID), kept(paddingID))
        result.endIDs.removeAll { $0 >= rows }
        result.merges.removeAll { max($0.left, $0.right, $0.merged) >= rows }
        return result
    }
}

/// Checks shared by the initialisers.
extension TokenizerDefinition {
    /// An index of spellings; throws for a spelling that stands twice.
    static func index(_ tokens: [String]) throws(TokenizerError) -> ByteKeyTable {
        guard !tokens.isEmpty else { throw .emptyVocabulary }
        var table = ByteKeyTable(capacity: tokens.count)
        for (id, token) in tokens.enumerated() {
            if let first = table.append(token) { throw .duplicateToken(token, first: first, second: id) }
        }
        return table
    }

    static func checked(_ id: Int?, _ name: String, count: Int) throws(TokenizerError) -> TokenID? {
        guard let id else { return nil }
        guard id >= 0, id < count else { throw .idOutOfRange(name: name, id: id, count: count) }
        return TokenID(id)
    }

    /// Looks up the merge of `left` and `right`.
    static func merge(
        _ left: Substring.UTF8View, _ right: Substring.UTF8View, index: Int, table: ByteKeyTable,
        scratch: inout [UInt8]
    ) throws(TokenizerError) -> Merge {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: left)
        let split = scratch.count
        scratch.append(contentsOf: right)
        guard split > 0, split < scratch.count else {
            throw .malformedMerge(index: index, text: "\(Substring(left)) \(Substring(right))")
        }
        let found = scratch.withUnsafeBufferPointer { bytes in
            (
                table.find(UnsafeBufferPointer(rebasing: bytes[..<split])),
                table.find(UnsafeBufferPointer(rebasing: bytes[split...])), table.find(bytes)
            )
        }
        guard let leftID = found.0, let rightID = found.1, let merged = found.2 else {
            let missing =
                found.0 == nil
                ? Substring(left) : found.1 == nil ? Substring(right) : Substring(left) + Substring(right)
            throw .mergeOfUnknownToken(
                index: index, text: "\(Substring(left)) \(Substring(right))", missing: String(missing))
        }
        return Merge(left: TokenID(leftID), right: TokenID(rightID), merged: TokenID(merged))
    }

    /// Reads a merge written as two pieces with a space between.
    static func merge(
        _ text: String, index: Int, table: ByteKeyTable, scratch: inout [UInt8]
    ) throws(TokenizerError) -> Merge {
        let bytes = text[...].utf8
        guard let space = bytes.dropFirst().firstIndex(of: 0x20) else {
            throw .malformedMerge(index: index, text: text)
        }
        return try merge(
            bytes[..<space], bytes[bytes.index(after: space)...], index: index, table: table,
            scratch: &scratch)
    }
}
