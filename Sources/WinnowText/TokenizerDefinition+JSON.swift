import WinnowJSON

extension TokenizerDefinition {
    /// Makes a definition of the files of a Hugging Face folder.
    ///
    /// - Parameter tokenizerJSON: tokenizer.json.
    /// - Parameter configuration: tokenizer_config.json, for the names of special tokens and the chat template.
    /// - Parameter generation: generation_config.json, for the ids that end a generation.
    public init(
        tokenizerJSON json: JSONValue, configuration: JSONValue?, generation: JSONValue? = nil
    ) throws(TokenizerError) {
        guard let model = json["model"], model.object != nil else {
            throw .missingKey("model", expected: "an object in tokenizer.json")
        }
        let added = try TokenizerDefinition.addedTokens(json["added_tokens"])
        let kind = try TokenizerDefinition.kind(model)
        let (tokens, isSet) = try TokenizerDefinition.tokens(model["vocab"], added: added)
        self.init(tokens: tokens)
        self.model = kind
        kinds = isSet.map { $0 ? .normal : .unused }
        addedTokens = added.sorted { $0.id < $1.id }
        for token in added { kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined }
        let table = try TokenizerDefinition.index(tokens)
        try readModel(model, table: table)
        try readSteps(json, isByteLevel: kind == .byteLevelBPE)

        func id(_ key: String) throws(TokenizerError) -> TokenID? {
            guard let entry = configuration?[key], !entry.isNull else { return nil }
            guard let name = entry.string ?? entry["content"]?.string else {
                throw .missingKey(key, expected: "a token's text in tokenizer_config.json")
            }
            guard let id = table.find(name) else {
                throw .missingKey("token '\(name)'", expected: "\(key) of tokenizer_config.json names it")
            }
            return TokenID(id)
        }
        bosID = try id("bos_token")
        eosID = try id("eos_token")
        if unknownID == nil { unknownID = try id("unk_token") }
        paddingID = try id("pad_token")
        endIDs = try TokenizerDefinition.endIDs(generation, count: tokens.count)
        let processor = TokenizerDefinition.addedAround(json["post_processor"])
        // Generation configurations name BOS and EOS where the tokenizer's own does not.
        if bosID == nil {
            bosID = try TokenizerDefinition.checked(
                generation?["bos_token_id"]?.integer, "bos_token_id", count: tokens.count)
        }
        eosID = eosID ?? endIDs.first
        // BERT's tokens around a text are neither BOS nor EOS in its configuration.
        if bosID == nil { bosID = processor.first.flatMap { table.find($0) }.map { TokenID($0) } }
        if eosID == nil { eosID = processor.last.flatMap { table.find($0) }.map { TokenID($0) } }
        addsBOS = processor.before ?? configuration?["add_bos_token"]?.bool ?? false
        addsEOS = processor.after ?? configuration?["add_eos_token"]?.bool ?? false
        chatTemplate = TokenizerDefinition.chatTemplate(configuration?["chat_template"])
    }

    private static func addedTokens(_ json: JSONValue?) throws(TokenizerError) -> [AddedToken] {
        var result: [AddedToken] = []
        for entry in json?.array ?? [] {
            guard let id = entry["id"]?.integer, let content = entry["content"]?.string, id >= 0,
                id < maximumCount
            else { throw .missingKey("added_tokens[\(result.count)]", expected: "an id and a content") }
            if entry["single_word"]?.bool == true {
                throw .unsupportedFeature(key: "added_tokens '\(content)' single_word", value: "true")
            }
            let isSpecial = entry["special"]?.bool ?? false
            result.append(
                AddedToken(
                    id: TokenID(id), content: content, isSpecial: isSpecial,
                    stripsLeft: entry["lstrip"]?.bool ?? false, stripsRight: entry["rstrip"]?.bool ?? false,
                    isNormalized: entry["normalized"]?.bool ?? !isSpecial))
        }
        return result
    }

    /// More ids than any vocabulary has; a file that says more is wrong or hostile.
    private static var maximumCount: Int { 1 << 24 }

    /// Spellings by id and which of them the file has; holes get a name as converters to GGUF give them.
    private static func tokens(
        _ vocabulary: JSONValue?, added: [AddedToken]
    ) throws(TokenizerError) -> ([String], [Bool]) {
        let pairs: [(String, JSONValue)]
        if let list = vocabulary?.array {
            // Unigram models: pairs of a token and its score, by id.
            var tokens: [(String, JSONValue)] = []
            for (id, entry) in list.enumerated() {
                guard let token = entry.array?.first?.string else {
                    throw .missingKey("model.vocab[\(id)]", expected: "a token and its score")
                }
                tokens.append((token, .integer(Int64(id))))
            }
            pairs = tokens
        } else if let object = vocabulary?.object {
            pairs = object.pairs.map { ($0.0, $0.1) }
        } else {
            throw .missingKey("model.vocab", expected: "an object of tokens and ids")
        }
        let vocabulary = pairs
        guard vocabulary.count + added.count > 0 else { throw .emptyVocabulary }
        // Holes are allowed, but not so many that the ids must be wrong.
        let limit = min(maximumCount, 2 * (vocabulary.count + added.count) + 4096)
        var result: [String] = []
        var isSet: [Bool] = []
        result.reserveCapacity(vocabulary.count + added.count)
        func place(_ token: String, _ id: Int) throws(TokenizerError) {
            guard id >= 0, id < limit else {
                throw .idOutOfRange(name: "token '\(token)'", id: id, count: limit)
            }
            while result.count <= id {
                result.append("")
                isSet.append(false)
            }
            if isSet[id], !result[id].utf8.elementsEqual(token.utf8) {
                throw .duplicateID(id, first: result[id], second: token)
            }
            result[id] = token
            isSet[id] = true
        }
        for (token, id) in vocabulary {
            guard let id = id.integer else {
                throw .missingKey("id of token '\(token)'", expected: "a number")
            }
            try place(token, id)
        }
        for token in added { try place(token.content, Int(token.id)) }
        for id in result.indices where !isSet[id] { result[id] = "[PAD\(id)]" }
        return (result, isSet)
    }

    static func merges(_ json: JSONValue?, table: ByteKeyTable) throws(TokenizerError) -> [Merge] {
        guard let list = json?.array, !list.isEmpty else { throw .missingMerges }
        var result: [Merge] = []
        result.reserveCapacity(list.count)
        var scratch: [UInt8] = []
        for (index, entry) in list.enumerated() {
            if let text = entry.string {
                result.append(try merge(text, index: index, table: table, scratch: &scratch))
                continue
            }
            guard let pair = entry.array, pair.count == 2, let left = pair[0].string,
                let right = pair[1].string
            else { throw .malformedMerge(index: index, text: entry.text()) }
            result.append(
                try merge(left[...].utf8, right[...].utf8, index: index, table: table, scratch: &scratch))
        }
        return result
    }

    static func endIDs(_ generation: JSONValue?, count: Int) throws(TokenizerError) -> [TokenID] {
        guard let entry = generation?["eos_token_id"] else { return [] }
        var result: [TokenID] = []
        for value in entry.array ?? [entry] {
            if let id = try checked(value.integer, "eos_token_id", count: count) { result.append(id) }
        }
        return result
    }

    /// What a post-processor puts around a text.
    private struct Around {
        /// Whether there is a token; nil when the processor does not decide.
        var before: Bool?
        var after: Bool?
        /// Which one.
        var first: String?
        var last: String?
    }

    private static func addedAround(_ json: JSONValue?) -> Around {
        switch json?["type"]?.string {
        case "TemplateProcessing":
            let single = json?["single"]?.array ?? []
            let first = single.first?["SpecialToken"]
            let last = single.last?["SpecialToken"]
            return Around(
                before: first != nil, after: last != nil, first: first?["id"]?.string,
                last: last?["id"]?.string)
        case "BertProcessing", "RobertaProcessing":
            return Around(
                before: true, after: true, first: json?["cls"]?.array?.first?.string,
                last: json?["sep"]?.array?.first?.string)
        case "Sequence":
            for part in json?["processors"]?.array ?? [] {
                let found = addedAround(part)
                if found.before != nil { return found }
            }
            return Around()
        default: return Around()
        }
    }

    static func chatTemplate(_ json: JSONValue?) -> String? {
        if let text = json?.string { return text }
        let named = json?.array ?? []
        let entry = named.first { $0["name"]?.string == "default" } ?? named.first
        return entry?["template"]?.string
    }
}
