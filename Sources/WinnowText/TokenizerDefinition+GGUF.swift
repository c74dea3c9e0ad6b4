extension TokenizerDefinition {
    /// Makes a definition of the metadata of a GGUF file, under `tokenizer.ggml.`.
    ///
    /// - Parameter ggufModel: `model`; only `gpt2` (byte-level BPE) is known.
    /// - Parameter pre: `pre`, the name of a ``PreTokenizer``.
    /// - Parameter kinds: `token_type`; empty means that all tokens are normal.
    /// - Parameter addsBOS: `add_bos_token`; nil means what the pre-tokenizer's family does.
    public init(
        ggufModel: String, pre: String?, tokens: [String], kinds: [Int32], merges: [String],
        bos: Int?, eos: Int?, unknown: Int?, padding: Int?,
        addsBOS: Bool?, addsEOS: Bool? = nil, chatTemplate: String?
    ) throws(TokenizerError) {
        guard ggufModel == "gpt2" else { throw .unsupportedModel(ggufModel) }
        guard let pre else { throw .missingKey("tokenizer.ggml.pre", expected: PreTokenizer.knownNames) }
        let row = try PreTokenizer.row(ggufName: pre)
        let table = try TokenizerDefinition.index(tokens)
        guard kinds.isEmpty || kinds.count == tokens.count else {
            throw .kindCount(kinds: kinds.count, tokens: tokens.count)
        }
        guard !merges.isEmpty else { throw .missingMerges }

        self.tokens = tokens
        self.kinds = []
        self.kinds.reserveCapacity(tokens.count)
        addedTokens = []
        for id in tokens.indices {
            guard let kind = kinds.isEmpty ? TokenKind.normal : TokenKind(rawValue: kinds[id]) else {
                throw .unknownKind(Int(kinds[id]), token: id)
            }
            self.kinds.append(kind)
            if (kind == .control || kind == .userDefined || kind == .unknown), !tokens[id].isEmpty {
                addedTokens.append(
                    AddedToken(id: TokenID(id), content: tokens[id], isSpecial: kind != .userDefined))
            }
        }
        self.merges = []
        self.merges.reserveCapacity(merges.count)
        var scratch: [UInt8] = []
        for (index, text) in merges.enumerated() {
            self.merges.append(
                try TokenizerDefinition.merge(text, index: index, table: table, scratch: &scratch))
        }
        preTokenizer = PreTokenizer(row)
        ignoresMerges = row.ignoresMerges
        let count = tokens.count
        bosID = try TokenizerDefinition.checked(bos, "tokenizer.ggml.bos_token_id", count: count)
        eosID = try TokenizerDefinition.checked(eos, "tokenizer.ggml.eos_token_id", count: count)
        unknownID = try TokenizerDefinition.checked(unknown, "tokenizer.ggml.unknown_token_id", count: count)
        paddingID = try TokenizerDefinition.checked(padding, "tokenizer.ggml.padding_token_id", count: count)
        self.addsBOS = addsBOS ?? row.addsBOS
        self.addsEOS = addsEOS ?? false
        self.chatTemplate = chatTemplate
    }
}
