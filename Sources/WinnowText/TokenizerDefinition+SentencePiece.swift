import WinnowJSON

extension TokenizerDefinition {
    /// Makes a definition of a `tokenizer.model` of SentencePiece.
    ///
    /// - Parameter configuration: tokenizer_config.json, for the chat template, the names of special tokens, and the
    ///   tokens that were added after training (`added_tokens_decoder`).
    /// - Parameter added: added_tokens.json, ids by token.
    /// - Parameter generation: generation_config.json, for the ids that end a generation.
    public init(
        sentencePiece bytes: UnsafeBufferPointer<UInt8>, configuration: JSONValue? = nil,
        added: JSONValue? = nil,
        generation: JSONValue? = nil
    ) throws(TokenizerError) {
        let model = try SentencePieceModel(bytes)
        var tokens = model.pieces
        let extra = try TokenizerDefinition.addedTokens(configuration, added, after: tokens.count)
        for token in extra where Int(token.id) >= tokens.count {
            // Ids follow one another, as was checked.
            tokens.append(token.content)
        }
        for token in extra where tokens[Int(token.id)] != token.content {
            throw .duplicateID(Int(token.id), first: tokens[Int(token.id)], second: token.content)
        }
        let table = try TokenizerDefinition.index(tokens)
        self.init(tokens: tokens)
        isSentencePiece = true
        let more = tokens.count - model.pieces.count
        kinds = model.kinds + extra.suffix(more).map { $0.isSpecial ? .control : .userDefined }
        for token in extra where token.isSpecial && kinds[Int(token.id)] == .normal {
            kinds[Int(token.id)] = .control
        }
        try readScores(model.scores + repeatElement(0, count: more))
        hasByteFallback = model.hasByteFallback
        fusesUnknown = true
        try readIDs(model)

        var normalization = model.normalization
        normalization.pieces = model.pieces.indices.filter { kinds[$0] == .userDefined }.map {
            tokens[$0]
        }
        // Where spaces are marked and nothing else is done, the steps that other files have say the same.
        let replace = Normalizer.Step.replace([0x20], with: SpaceMarks.mark)
        if normalization == .plain(addsMark: normalization.addsMark) {
            normalizer.steps = (normalization.addsMark ? [.prepend(SpaceMarks.mark)] : []) + [replace]
        } else {
            normalizer.steps = [.sentencePiece(normalization)]
        }
        stripsFirstSpace = normalization.addsMark && !normalization.marksEnd

        let known = Set(extra.map(\.id))
        for id in model.pieces.indices where !known.contains(TokenID(id)) {
            switch kinds[id] {
            case .control, .unknown:
                addedTokens.append(AddedToken(id: TokenID(id), content: tokens[id], isSpecial: true))
            case .userDefined where model.algorithm != .unigram:
                addedTokens.append(
                    AddedToken(id: TokenID(id), content: tokens[id], isSpecial: false, isNormalized: true))
            default: break
            }
        }
        addedTokens = (addedTokens + extra).sorted { $0.id < $1.id }

        switch model.algorithm {
        case .unigram: self.model = .unigram
        case .merges:
            self.model = .characterBPE
            if let unused = kinds.firstIndex(of: .unused) {
                throw .unsupportedFeature(
                    key: "the type of piece \(unused) of tokenizer.model", value: "unused")
            }
            merges = try mergesByScore(table)
        case .word: throw .unsupportedModel("SentencePiece word")
        case .character: throw .unsupportedModel("SentencePiece char")
        }
        preTokenizer = PreTokenizer(cutsAtSpaceMarks ? [.spaceMarks(all: false)] : [])

        func id(_ key: String, _ other: TokenID?) throws(TokenizerError) -> TokenID? {
            guard let entry = configuration?[key], !entry.isNull else { return other }
            guard let name = entry.string ?? entry["content"]?.string, let found = table.find(name) else {
                throw .missingKey(
                    "token \(entry.text())", expected: "\(key) of tokenizer_config.json names it")
            }
            return TokenID(found)
        }
        bosID = try id("bos_token", bosID)
        eosID = try id("eos_token", eosID)
        paddingID = try id("pad_token", paddingID)
        endIDs = try TokenizerDefinition.endIDs(generation, count: tokens.count)
        eosID = eosID ?? endIDs.first
        // As the classes of transformers do for models that have no tokenizer.json.
        addsBOS = bosID != nil && configuration?["add_bos_token"]?.bool ?? (self.model == .characterBPE)
        addsEOS = eosID != nil && configuration?["add_eos_token"]?.bool ?? (self.model == .unigram)
        chatTemplate = TokenizerDefinition.chatTemplate(configuration?["chat_template"])
    }

    private mutating func readIDs(_ model: SentencePieceModel) throws(TokenizerError) {
        func checked(_ id: Int, _ name: String) throws(TokenizerError) -> TokenID? {
            id < 0
                ? nil
                : try TokenizerDefinition.checked(id, "\(name) of tokenizer.model", count: tokens.count)
        }
        // What has no piece is the piece of that type, whatever the trainer was told.
        unknownID = kinds.firstIndex(of: .unknown).map { TokenID($0) }
        guard unknownID != nil else {
            throw .missingKey("unknown token", expected: "a piece of type unknown in tokenizer.model")
        }
        _ = try checked(model.unknown, "unk_id")
        bosID = try checked(model.bos, "bos_id")
        eosID = try checked(model.eos, "eos_id")
        paddingID = try checked(model.padding, "pad_id")
    }

    /// Tokens that configurations add: some of the vocabulary, which become special, and some after it.
    static func addedTokens(
        _ configuration: JSONValue?, _ added: JSONValue?, after count: Int
    ) throws(TokenizerError) -> [AddedToken] {
        var result: [TokenID: AddedToken] = [:]
        for (key, id) in added?.object?.pairs ?? [] {
            guard let id = id.integer, id >= 0, id < 1 << 24 else {
                throw .missingKey("id of token '\(key)' in added_tokens.json", expected: "a number")
            }
            result[TokenID(id)] = AddedToken(id: TokenID(id), content: key, isSpecial: true)
        }
        for (key, entry) in configuration?["added_tokens_decoder"]?.object?.pairs ?? [] {
            guard let id = Int32(key), id >= 0, id < 1 << 24, let content = entry["content"]?.string
            else {
                throw .missingKey("added_tokens_decoder['\(key)']", expected: "an id and a content")
            }
            result[id] = AddedToken(
                id: id, content: content, isSpecial: entry["special"]?.bool ?? false,
                stripsLeft: entry["lstrip"]?.bool ?? false, stripsRight: entry["rstrip"]?.bool ?? false)
        }
        let tokens = result.values.filter { !$0.content.isEmpty }.sorted { $0.id < $1.id }
        var next = count
        for token in tokens where Int(token.id) >= count {
            guard Int(token.id) == next else {
                throw .idOutOfRange(
                    name: "the id of the added token '\(token.content)'", id: Int(token.id), count: next + 1)
            }
            next += 1
        }
        return tokens
    }
}
