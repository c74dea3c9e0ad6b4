import WinnowJSON

extension ModelConfiguration {
    /// The configuration that `config.json` gives, with the defaults of transformers' LlamaConfig.
    ///
    /// - Parameter generation: `generation_config.json`, whose ids of BOS and EOS win.
    /// - Throws: ``CheckpointError`` naming the file and the field.
    init(_ config: JSONObject, file: String, generation: JSONObject?) throws(CheckpointError) {
        let reader = FieldReader(fields: config, file: file)
        let type = try reader.text("model_type")
        let supported = ModelConfiguration.supportedArchitectures
        guard supported.contains(type) else {
            throw .unsupportedArchitecture(file: file, name: type, supported: supported)
        }
        let width = try reader.integer("hidden_size", in: 1...1 << 20)
        let heads = try reader.integer("num_attention_heads", in: 1...1 << 16)
        let keyHeads = try reader.integer("num_key_value_heads", in: 1...heads, absent: heads)
        guard heads % keyHeads == 0 else {
            throw reader.wrong("num_key_value_heads", "a divisor of num_attention_heads (\(heads))")
        }
        if !reader.has("head_dim"), width % heads != 0 {
            throw reader.wrong("num_attention_heads", "a divisor of hidden_size (\(width))")
        }
        let headWidth = try reader.integer("head_dim", in: 1...1 << 16, absent: width / heads)
        guard headWidth.isMultiple(of: 2) else {
            throw reader.wrong("head_dim", "an even number of columns for each head, not \(headWidth)")
        }
        let vocabulary = try reader.integer("vocab_size", in: 1...1 << 31)
        for key in ["attention_bias", "mlp_bias"] where try reader.flag(key, absent: false) {
            throw .unsupported(file: file, feature: "'\(key)': true", advice: "use a model without biases")
        }
        let activation = config["hidden_act"]?.string ?? "silu"
        guard activation == "silu" || activation == "swish" else {
            throw .unsupported(file: file, feature: "'hidden_act': '\(activation)'", advice: "use a model with silu")
        }
        if let share = config["partial_rotary_factor"]?.number, share != 1 {
            throw .unsupported(
                file: file, feature: "'partial_rotary_factor': \(share)", advice: "use a plain Llama model")
        }
        for key in ["rope_scaling", "rope_parameters"] {
            guard let scaling = config[key], !scaling.isNull else { continue }
            let kind = scaling["rope_type"]?.string ?? scaling["type"]?.string ?? "default"
            let isNone = kind == "default" || kind == "linear" && scaling["factor"]?.number ?? 1 == 1
            guard scaling.object != nil, isNone else {
                throw .unsupported(
                    file: file, feature: "rope scaling '\(kind)' ('\(key)')", advice: "use a model without it")
            }
        }
        let ropeKey = config["rope_parameters"]?["rope_theta"] != nil ? "rope_parameters.rope_theta" : "rope_theta"
        let ids = generation ?? JSONObject()
        let eos: [Int]
        if let own = ids["eos_token_id"], !own.isNull {
            eos = try FieldReader(fields: ids, file: "generation_config.json beside \(file)")
                .tokens("eos_token_id", vocabulary: vocabulary)
        } else {
            eos = try reader.tokens("eos_token_id", vocabulary: vocabulary)
        }
        self.init(
            architecture: type, vocabularySize: vocabulary, width: width,
            layers: try reader.integer("num_hidden_layers", in: 1...1 << 16), heads: heads,
            keyValueHeads: keyHeads, headWidth: headWidth,
            feedForwardWidth: try reader.integer("intermediate_size", in: 1...1 << 20),
            contextLength: try reader.integer("max_position_embeddings", in: 1...1 << 30, absent: 2048),
            ropeBase: try reader.number(ropeKey, in: 1...1e12, absent: 10_000),
            normEpsilon: Float(try reader.number("rms_norm_eps", in: 0...1, absent: 1e-6)),
            tiesEmbeddings: try reader.flag("tie_word_embeddings", absent: false),
            bosID: try reader.tokens("bos_token_id", vocabulary: vocabulary).first, eosIDs: eos,
            rotaryStyle: .halves, huggingFace: config, generation: ids,
            metadata: try GeneralMetadata(config, file: file))
    }
}

/// Reads fields of a JSON object with the range they must be in.
struct FieldReader {
    let fields: JSONObject
    let file: String

    /// A field, or with a dot in the key a field of a field; nil when absent or null.
    private func value(_ key: String) -> JSONValue? {
        let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
        let found = parts.count == 2 ? fields[parts[0]]?[parts[1]] : fields[key]
        return found.flatMap { $0.isNull ? nil : $0 }
    }

    func has(_ key: String) -> Bool { value(key) != nil }

    func wrong(_ key: String, _ expected: String) -> CheckpointError {
        guard let value = value(key) else { return .missingField(file: file, field: key, expected: expected) }
        return .wrongField(file: file, field: key, found: String(value.text().prefix(40)), expected: expected)
    }

    func text(_ key: String) throws(CheckpointError) -> String {
        guard let text = value(key)?.string else { throw wrong(key, "a text") }
        return text
    }

    func integer(_ key: String, in range: ClosedRange<Int>, absent: Int? = nil) throws(CheckpointError) -> Int {
        if let absent, !has(key) { return absent }
        guard let value = value(key)?.integer, range.contains(value) else {
            throw wrong(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func number(_ key: String, in range: ClosedRange<Double>, absent: Double) throws(CheckpointError) -> Double {
        guard has(key) else { return absent }
        guard let value = value(key)?.number, range.contains(value) else {
            throw wrong(key, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func flag(_ key: String, absent: Bool) throws(CheckpointError) -> Bool {
        guard has(key) else { return absent }
        guard let value = value(key)?.bool else { throw wrong(key, "true or false") }
        return value
    }

    /// A token id or a list of them; empty when absent.
    func tokens(_ key: String, vocabulary: Int) throws(CheckpointError) -> [Int] {
        guard let value = value(key) else { return [] }
        let ids = (value.array ?? [value]).map(\.integer)
        guard ids.count <= 64, ids.allSatisfy({ $0.map { $0 >= 0 && $0 < vocabulary } ?? false }) else {
            throw wrong(key, "token ids from 0 to \(vocabulary - 1)")
        }
        return ids.compactMap(\.self)
    }
}
