import WinnowJSON

extension TokenizerDefinition {
    /// A tokenizer.json with which Hugging Face's `tokenizers` gives the same ids.
    public func tokenizerJSON() -> JSONValue {
        let byteLevel: JSONValue = [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        ]
        let isByteLevel = model == .byteLevelBPE
        return [
            "version": "1.0",
            "truncation": .null,
            "padding": .null,
            "added_tokens": .array(addedTokens.map(json(of:))),
            "normalizer": normalizer.json,
            "pre_tokenizer": isByteLevel ? byteLevelJSON : spaceMarks?.json ?? .null,
            "post_processor": postProcessor ?? (isByteLevel ? byteLevel : .null),
            "decoder": isByteLevel ? byteLevel : decoder,
            "model": modelJSON,
        ]
    }

    private var byteLevelJSON: JSONValue {
        guard normalizer.steps.contains(.prependSpace), var json = preTokenizer.json.object else {
            return preTokenizer.json
        }
        json["add_prefix_space"] = true
        return .object(json)
    }

    private var modelJSON: JSONValue {
        var vocabulary = JSONObject()
        for (id, token) in tokens.enumerated() { vocabulary[token] = .integer(Int64(id)) }
        return [
            "type": "BPE",
            "dropout": .null,
            "unk_token": model == .characterBPE ? text(unknownID).map { .string($0) } ?? .null : .null,
            "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null,
            "fuse_unk": .bool(fusesUnknown),
            "byte_fallback": .bool(hasByteFallback),
            "ignore_merges": .bool(ignoresMerges),
            "vocab": .object(vocabulary),
            "merges": .array(mergesJSON),
        ]
    }

    /// Merges as texts with a space between, or, where a part has a space of its own (Gemma), as pairs.
    private var mergesJSON: [JSONValue] {
        func hasSpace(_ id: TokenID) -> Bool { tokens[Int(id)].utf8.contains(0x20) }
        guard merges.contains(where: { hasSpace($0.left) || hasSpace($0.right) }) else {
            return mergeTexts.map { .string($0) }
        }
        return merges.map { [.string(tokens[Int($0.left)]), .string(tokens[Int($0.right)])] }
    }

    /// Llama's: spaces for U+2581, bytes for their tokens, and no space at the start.
    private var decoder: JSONValue {
        var parts: [JSONValue] = [
            ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"],
            ["type": "Fuse"],
        ]
        if stripsFirstSpace { parts.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        return ["type": "Sequence", "decoders": .array(parts)]
    }

    /// What keeps the tokenizer from giving the same ids when a GGUF file describes it, nil when nothing does.
    ///
    /// A model whose merges join characters is written as `llama`, where merges follow from scores: it is checked
    /// that they do.
    public var ggufObstacle: String? {
        if normalizer.steps.contains(.prependSpace) { return "a space before each text" }
        guard model == .characterBPE else { return model.canBeWritten ? nil : "its kind" }
        if preTokenizer.cuts != [], preTokenizer.cuts != [.spaceMarks(all: false)] {
            return "its pre-tokenizer"
        }
        let replace = Normalizer.Step.replace([0x20], with: SpaceMarks.mark)
        if case .sentencePiece? = normalizer.steps.first {
            return "the normalizer or the user-defined pieces of its tokenizer.model"
        } else if normalizer.isEmpty {
            if spaceMarks == nil { return "its spaces without marks" }
        } else if normalizer.steps != [replace],
            normalizer.steps != [.prepend(SpaceMarks.mark), replace]
        {
            return "its normalizer"
        }
        var copy = self
        copy.scores = ggufScores
        guard let table = try? TokenizerDefinition.index(tokens),
            let follow = try? copy.mergesByScore(table)
        else {
            return "its merges"
        }
        func pairs(_ merges: [Merge]) -> Set<UInt64> {
            Set(merges.map { MergeTable.pair($0.left, $0.right) })
        }
        guard pairs(follow) == pairs(merges) else { return "merges that do not follow from scores" }
        var last = Float.infinity
        for merge in merges {
            let score = copy.scores[Int(merge.merged)]
            if score > last { return "merges that are not in the order of scores" }
            last = score
        }
        return nil
    }

    /// A tokenizer_config.json that goes with it.
    public func tokenizerConfiguration() -> JSONValue {
        var decoder = JSONObject()
        for token in addedTokens { decoder["\(token.id)"] = properties(of: token) }
        var result = JSONObject([
            ("add_bos_token", .bool(addsBOS)),
            ("add_eos_token", .bool(addsEOS)),
            ("add_prefix_space", false),
            ("added_tokens_decoder", .object(decoder)),
            ("clean_up_tokenization_spaces", false),
            ("tokenizer_class", "PreTrainedTokenizerFast"),
        ])
        for (key, id) in [
            ("bos_token", bosID), ("eos_token", eosID), ("unk_token", unknownID),
            ("pad_token", paddingID),
        ] {
            if let text = text(id) { result[key] = .string(text) }
        }
        if let chatTemplate { result["chat_template"] = .string(chatTemplate) }
        return .object(result)
    }

    private func properties(of token: AddedToken) -> JSONValue {
        [
            "content": .string(token.content), "lstrip": .bool(token.stripsLeft),
            "normalized": .bool(token.isNormalized), "rstrip": .bool(token.stripsRight),
            "single_word": false, "special": .bool(token.isSpecial),
        ]
    }

    private func json(of token: AddedToken) -> JSONValue {
        var result = JSONObject([("id", .integer(Int64(token.id)))])
        for (key, value) in properties(of: token).object?.pairs ?? [] { result[key] = value }
        return .object(result)
    }

    /// Puts BOS and EOS around a text where the definition says so.
    private var postProcessor: JSONValue? {
        let before = addsBOS ? bosID : nil
        let after = addsEOS ? eosID : nil
        guard before != nil || after != nil else { return nil }
        func special(_ id: TokenID?, _ type: Int64) -> [JSONValue] {
            guard let text = text(id) else { return [] }
            return [["SpecialToken": ["id": .string(text), "type_id": .integer(type)]]]
        }
        func sequence(_ name: String, _ type: Int64) -> [JSONValue] {
            [["Sequence": ["id": .string(name), "type_id": .integer(type)]]]
        }
        var specials = JSONObject()
        for id in [before, after] {
            guard let id, let text = text(id) else { continue }
            specials[text] = [
                "id": .string(text), "ids": [.integer(Int64(id))], "tokens": [.string(text)],
            ]
        }
        let first = special(before, 0) + sequence("A", 0) + special(after, 0)
        return [
            "type": "TemplateProcessing",
            "single": .array(first),
            "pair": .array(first + special(before, 1) + sequence("B", 1) + special(after, 1)),
            "special_tokens": .object(specials),
        ]
    }
}

extension Normalizer {
    /// As tokenizer.json spells the steps that merging models have; others are read but not written.
    fileprivate var json: JSONValue {
        let parts: [JSONValue] = steps.compactMap { step in
            switch step {
            case .prepend(let text):
                ["type": "Prepend", "prepend": .string(String(decoding: text, as: UTF8.self))]
            case .replace(let part, let other):
                [
                    "type": "Replace", "pattern": ["String": .string(String(decoding: part, as: UTF8.self))],
                    "content": .string(String(decoding: other, as: UTF8.self)),
                ]
            case .unicode(let form): ["type": .string(form.name)]
            case .nmt: ["type": "Nmt"]
            default: nil
            }
        }
        return parts.isEmpty ? .null : ["type": "Sequence", "normalizers": .array(parts)]
    }
}

extension SpaceMarks {
    fileprivate var json: JSONValue {
        let scheme = prefix == .always ? "always" : prefix == .first ? "first" : "never"
        return [
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": .string(scheme), "split": false,
        ]
    }
}
