import WinnowJSON

extension ModelConfiguration {
    /// The configuration that `config.json` gives, with the defaults of transformers.
    ///
    /// - Parameter generation: `generation_config.json`, whose ids of BOS and EOS win.
    /// - Throws: ``CheckpointError`` naming the file and the field.
    init(_ config: JSONObject, file: String, generation: JSONObject?) throws(CheckpointError) {
        let reader = FieldReader(fields: config, file: file)
        let type = try reader.text("model_type")
        guard let family = ModelFamilies.ofFolder(type) else {
            throw .unsupportedArchitecture(
                file: file, name: type, supported: ModelFamilies.folderNames)
        }
        let keys = family.keys
        let width = try reader.integer(keys.width, in: 1...1 << 20)
        let layers = try reader.integer(keys.layers, in: 1...1 << 16)
        let ownHeads = try reader.perLayer(keys.heads, layers: layers, in: 1...1 << 16)
        let heads = ownHeads.max() ?? 1
        let ownKeyHeads =
            reader.has(keys.keyValueHeads)
            ? try reader.perLayer(keys.keyValueHeads, layers: layers, in: 1...heads) : ownHeads
        let keyHeads = ownKeyHeads.max() ?? 1
        for (own, ownKeys) in zip(ownHeads, ownKeyHeads) where own % ownKeys != 0 {
            throw reader.wrong(keys.keyValueHeads, "a divisor of \(keys.heads) (\(own))")
        }
        if !reader.has("head_dim"), keys.headWidth == nil, width % heads != 0 {
            throw reader.wrong(keys.heads, "a divisor of \(keys.width) (\(width))")
        }
        let headWidth = try reader.integer(
            "head_dim", in: 1...1 << 16, absent: keys.headWidth ?? width / heads)
        guard headWidth.isMultiple(of: 2) else {
            throw reader.wrong("head_dim", "an even number of columns for each head, not \(headWidth)")
        }
        let vocabulary = try keys.vocabularySize.map { key throws(CheckpointError) in
            try reader.integer(key, in: 1...1 << 31)
        } ?? 0
        let activation = config[keys.activation]?.string ?? keys.activations[0]
        guard keys.activations.contains(activation) else {
            throw .unsupported(
                file: file, feature: "'\(keys.activation)': '\(activation)'",
                advice: "use a model with \(keys.activations[0])")
        }
        let context = try keys.contextLength.map { key throws(CheckpointError) in
            try reader.integer(key, in: 1...1 << 30, absent: keys.context)
        } ?? keys.context
        let ids = generation ?? JSONObject()
        let eos: [Int]
        if let own = ids["eos_token_id"], !own.isNull {
            eos = try FieldReader(fields: ids, file: "generation_config.json beside \(file)")
                .tokens("eos_token_id", vocabulary: vocabulary)
        } else {
            eos = try reader.tokens("eos_token_id", vocabulary: vocabulary)
        }
        let rope = try reader.rope(
            base: keys.ropeBase, share: keys.ropeShare, headWidth: headWidth, context: context)
        let ownWidths = try reader.perLayer(
            keys.feedForwardWidth, layers: layers, in: 1...1 << 20,
            absent: keys.hasFeedForwardDefault ? 4 * width : nil)
        self.init(
            architecture: type, vocabularySize: vocabulary, width: width, layers: layers, heads: heads,
            keyValueHeads: keyHeads, headWidth: headWidth, feedForwardWidth: ownWidths.max() ?? 1,
            contextLength: context, ropeBase: rope.base,
            normEpsilon: Float(try reader.number(keys.normEpsilon, in: 0...1, absent: keys.epsilon)),
            tiesEmbeddings: try reader.flag("tie_word_embeddings", absent: keys.tiesEmbeddings),
            bosID: try reader.tokens("bos_token_id", vocabulary: vocabulary).first, eosIDs: eos,
            rotaryStyle: .halves, huggingFace: config, generation: ids, ropeScaling: rope.scaling,
            traits: family.traits, metadata: try GeneralMetadata(config, file: file))
        self.rope = rope
        traits.normOffset = family.folderNormOffset
        setLayerShapes(heads: ownHeads, keyValueHeads: ownKeyHeads, feedForwardWidths: ownWidths)
        try family.readFolder(reader, &self)
    }
}

/// Reads fields of a JSON object with the range they must be in.
package struct FieldReader {
    let fields: JSONObject
    let file: String

    package init(fields: JSONObject, file: String) {
        self.fields = fields
        self.file = file
    }

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

    /// A text; nil when absent.
    func optionalText(_ key: String) throws(CheckpointError) -> String? { has(key) ? try text(key) : nil }

    func integer(_ key: String, in range: ClosedRange<Int>, absent: Int? = nil) throws(CheckpointError) -> Int
    {
        if let absent, !has(key) { return absent }
        guard let value = value(key)?.integer, range.contains(value) else {
            throw wrong(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A number for all layers, or a list with one for each.
    func perLayer(
        _ key: String, layers: Int, in range: ClosedRange<Int>, absent: Int? = nil
    ) throws(CheckpointError) -> [Int] {
        guard let list = value(key)?.array else {
            return Array(repeating: try integer(key, in: range, absent: absent), count: layers)
        }
        let values = list.compactMap(\.integer)
        guard list.count == layers, values.count == layers, values.allSatisfy(range.contains) else {
            let numbers = "\(range.lowerBound) to \(range.upperBound)"
            throw wrong(key, "a whole number from \(numbers), or one for each of the \(layers) layers")
        }
        return values
    }

    func number(_ key: String, in range: ClosedRange<Double>, absent: Double) throws(CheckpointError)
        -> Double
    {
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
