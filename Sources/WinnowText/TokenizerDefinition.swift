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

/// Everything a byte-level BPE tokenizer is made of, whatever file it came from.
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

    /// Spellings by id: of normal tokens in GPT-2's byte alphabet, of others as they are.
    public internal(set) var tokens: [String]
    /// A kind per token.
    public internal(set) var kinds: [TokenKind]
    /// In order of id.
    public internal(set) var addedTokens: [AddedToken]
    /// Best first.
    public internal(set) var merges: [Merge]
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

    /// The name under `tokenizer.ggml.model`.
    public var ggufModel: String { "gpt2" }

    /// Merges as GGUF and tokenizer.json spell them: two pieces with a space between.
    public var mergeTexts: [String] {
        merges.map { tokens[Int($0.left)] + " " + tokens[Int($0.right)] }
    }

    /// The spelling of a token id that may be nil.
    func text(_ id: TokenID?) -> String? { id.map { tokens[Int($0)] } }
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
                found.0 == nil ? Substring(left) : found.1 == nil ? Substring(right) : Substring(left) + Substring(right)
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
            bytes[..<space], bytes[bytes.index(after: space)...], index: index, table: table, scratch: &scratch)
    }
}
