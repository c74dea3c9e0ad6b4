import WinnowJSON

extension ModelConfiguration {
    /// `config.json` for these weights in Hugging Face's row order; keys that Winnow does not know stay as read.
    func configJSON(packed: PackedLayers, floatType: String?) -> JSONObject {
        var config = huggingFace["model_type"] == nil ? made(padding: nil) : huggingFace
        func set(_ key: String, _ value: Int) { config[key] = .integer(Int64(value)) }
        set("hidden_size", width)
        set("intermediate_size", feedForwardWidth)
        set("max_position_embeddings", contextLength)
        set("num_attention_heads", heads)
        set("num_hidden_layers", layers)
        set("num_key_value_heads", keyValueHeads)
        set("vocab_size", vocabularySize)
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
        let base: JSONValue = .number(ropeBase)
        return JSONObject([
            ("architectures", ["LlamaForCausalLM"]),
            ("attention_bias", false),
            ("attention_dropout", 0.0),
            ("bos_token_id", id(bosID)),
            ("eos_token_id", eos),
            ("head_dim", whole(headWidth)),
            ("hidden_act", "silu"),
            ("hidden_size", whole(width)),
            ("initializer_range", 0.02),
            ("intermediate_size", whole(feedForwardWidth)),
            ("max_position_embeddings", whole(contextLength)),
            ("mlp_bias", false),
            ("model_type", "llama"),
            ("num_attention_heads", whole(heads)),
            ("num_hidden_layers", whole(layers)),
            ("num_key_value_heads", whole(keyValueHeads)),
            ("pad_token_id", id(padding)),
            ("pretraining_tp", 1),
            // The shortest decimal that is this float32: 1e-05, as the source of the file had it.
            ("rms_norm_eps", .number(Double("\(normEpsilon)") ?? Double(normEpsilon))),
            ("rope_parameters", ["rope_theta": base, "rope_type": "default"]),
            ("rope_theta", base),
            ("tie_word_embeddings", .bool(tiesEmbeddings)),
            ("use_cache", true),
            ("vocab_size", whole(vocabularySize)),
        ])
    }
}
