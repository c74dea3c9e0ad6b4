/// How encoding treats the text of control tokens, such as `<|im_end|>`.
public enum SpecialTokens: Sendable {
    /// As the tokens they name.
    case parse
    /// As ordinary text: for what users type.
    case asText
}

/// Turns text into token ids and back, equal to Hugging Face's `tokenizers`; which kinds, ``TokenizerModel`` says.
///
/// A value; copies share their tables, and all of it may be used from any thread at once.
public struct Tokenizer: Sendable {
    public let definition: TokenizerDefinition
    private let tables: Tables

    /// Ids that end a generation: EOS, those of the generation configuration, and well-known end tokens.
    public let eosIDs: Set<TokenID>

    public init(_ definition: TokenizerDefinition) throws(TokenizerError) {
        self.definition = definition
        tables = try Tables(definition)
        var ends = Set(definition.endIDs)
        if let eos = definition.eosID { ends.insert(eos) }
        for token in definition.addedTokens where Tokenizer.endTokens.contains(token.content) {
            ends.insert(token.id)
        }
        eosIDs = ends
    }

    private static let endTokens: Set<String> = [
        "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<|eot|>",
        "<end_of_turn>", "</s>",
    ]

    public var vocabularySize: Int { definition.tokens.count }
    public var bosID: TokenID? { definition.bosID }
    public var addsBOS: Bool { definition.addsBOS }

    public func isEnd(_ id: TokenID) -> Bool { eosIDs.contains(id) }

    /// The id of a token by its spelling in the vocabulary, nil when there is none.
    public func id(of piece: String) -> TokenID? { tables.pieces.find(piece).map { TokenID($0) } }

    // MARK: text to ids

    /// The ids of a text.
    ///
    /// - Parameter addBOS: puts BOS first, when the tokenizer has one.
    public func encode(
        _ text: String, special: SpecialTokens = .parse, addBOS: Bool = false
    ) -> [TokenID] {
        var text = text
        return text.withUTF8 { tables.encode($0, special: special, first: addBOS ? bosID : nil) }
    }

    /// The ids of bytes that should be UTF-8; what is not becomes U+FFFD first, one for each maximal
    /// ill-formed part, as in Rust's and Python's lossy decoding.
    public func encode(
        bytes: [UInt8], special: SpecialTokens = .parse, addBOS: Bool = false
    ) -> [TokenID] {
        encode(String(decoding: bytes, as: UTF8.self), special: special, addBOS: addBOS)
    }

    // MARK: ids to text

    /// The text of ids; bytes that are not UTF-8 become U+FFFD, ids out of range become nothing. The space that
    /// SentencePiece and WordPiece models put before a text is taken off.
    public func decode(_ ids: [TokenID], skipSpecial: Bool = false) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count * 4)
        for id in ids where !(skipSpecial && isSpecial(id)) { append(id, to: &bytes) }
        if definition.stripsFirstSpace, bytes.first == 0x20 { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes a token stands for, which may be part of a character; none for an id out of range.
    public func bytes(of id: TokenID) -> [UInt8] {
        var bytes: [UInt8] = []
        append(id, to: &bytes)
        return bytes
    }

    /// The token as the vocabulary spells it; empty for an id out of range.
    public func piece(_ id: TokenID) -> String {
        definition.tokens.indices.contains(Int(id)) ? definition.tokens[Int(id)] : ""
    }

    /// Whether a token is a control token.
    public func isSpecial(_ id: TokenID) -> Bool {
        guard definition.kinds.indices.contains(Int(id)) else { return false }
        let kind = definition.kinds[Int(id)]
        return kind == .control || kind == .unknown
    }

    func append(_ id: TokenID, to bytes: inout [UInt8]) { tables.append(id, to: &bytes) }
}
