import WinnowJSON

extension ModelConfiguration {
    /// `config.json` for these weights in Hugging Face's row order; keys that Winnow does not know stay as read.
    func configJSON(packed: PackedLayers, floatType: String?) -> JSONObject {
        var config = huggingFace["model_type"] == nil ? made(padding: nil) : huggingFace
        func set(_ key: String, _ value: Int) { config[key] = .integer(Int64(value)) }
        let keys = family.keys
        set(keys.width, width)
        let shapes = (0..<layers).map(shape(ofLayer:))
        /// One number where all layers agree.
        func set(_ key: String, _ own: KeyPath<LayerShape, Int>) {
            let values = shapes.map { $0[keyPath: own] }
            let first = values.first ?? 0
            config[key] =
                values.allSatisfy { $0 == first }
                ? .integer(Int64(first)) : .array(values.map { .integer(Int64($0)) })
        }
        set(keys.feedForwardWidth, \.feedForwardWidth)
        if let key = keys.contextLength { set(key, contextLength) }
        set(keys.heads, \.heads)
        set(keys.layers, layers)
        if config[keys.keyValueHeads] != nil || shapes.contains(where: { $0.keyValueHeads != $0.heads }) {
            set(keys.keyValueHeads, \.keyValueHeads)
        }
        if let key = keys.vocabularySize { set(key, vocabularySize) }
        if config["head_dim"] != nil || headWidth * heads != width { set("head_dim", headWidth) }
        config["tie_word_embeddings"] = .bool(tiesEmbeddings)
        if let floatType {
            let key = config["dtype"] != nil ? "dtype" : "torch_dtype"
            config[key] = .string(floatType)
        }
        return packed.written(into: config, metadata)
    }

    /// `generation_config.json`: as read, with the ids that end a generation.
    func generationJSON(padding: Int?) -> JSONObject {
        var result = generation
        if result.count == 0 { result["_from_model_config"] = true }
        if let bosID { result["bos_token_id"] = .integer(Int64(bosID)) }
        let ids = eosIDs.map { JSONValue.integer(Int64($0)) }
        if let first = ids.first { result["eos_token_id"] = ids.count == 1 ? first : .array(ids) }
        if result["pad_token_id"] == nil, let padding { result["pad_token_id"] = .integer(Int64(padding)) }
        return result
    }

    /// The `config.json` of a model that did not come with one, as transformers opens it.
    func made(padding: Int?) -> JSONObject {
        func id(_ id: Int?) -> JSONValue { id.map { .integer(Int64($0)) } ?? .null }
        func whole(_ value: Int) -> JSONValue { .integer(Int64(value)) }
        let eos: JSONValue = eosIDs.count > 1 ? .array(eosIDs.map(id)) : id(eosIDs.first)
        let family = family
        let keys = family.keys
        var config = JSONObject([
            ("architectures", [.string(family.className)]),
            ("attention_dropout", 0.0),
            ("bos_token_id", id(bosID)),
            ("eos_token_id", eos),
            ("head_dim", whole(headWidth)),
            (keys.activation, .string(keys.activations[0])),
            (keys.width, whole(width)),
            ("initializer_range", 0.02),
            (keys.feedForwardWidth, whole(feedForwardWidth)),
            ("model_type", .string(family.huggingFaceNames[0])),
            (keys.heads, whole(heads)),
            (keys.layers, whole(layers)),
            (keys.keyValueHeads, whole(keyValueHeads)),
            ("pad_token_id", id(padding)),
            // The shortest decimal that is this float32: 1e-05, as the source of the file had it.
            (keys.normEpsilon, .number(Double("\(normEpsilon)") ?? Double(normEpsilon))),
            ("tie_word_embeddings", .bool(tiesEmbeddings)),
            ("use_cache", true),
        ])
        if let key = keys.contextLength { config[key] = whole(contextLength) }
        if let key = keys.vocabularySize { config[key] = whole(vocabularySize) }
        if traits.learnedPositions == nil {
            let rope = folderRope
            config["rope_parameters"] = .object(rope.json)
            config["rope_theta"] = .number(ropeBase)
            if rope.share != 1 { config["partial_rotary_factor"] = .number(rope.share) }
            if rope.scaling != .none { config["rope_scaling"] = .object(rope.json) }
        } else {
            // These have neither a head width of their own nor shared heads.
            config["head_dim"] = nil
            config[keys.keyValueHeads] = nil
        }
        family.describe(self, &config)
        return config
    }

    /// ``rope`` in words of transformers: divisors without a name are those of a `longrope` whose two lists agree.
    var folderRope: RopeSettings {
        guard case .factors(let values) = rope.scaling else { return rope }
        return RopeSettings(
            base: rope.base,
            scaling: .longrope(
                short: values, long: values, originalContext: contextLength, attentionFactor: 1),
            share: rope.share)
    }
}
