import WinnowJSON

extension ModelConfiguration {
    /// The configuration that a GGUF file's metadata give.
    ///
    /// - Throws: ``GGUFError`` naming the key.
    init(_ file: GGUFFile) throws(GGUFError) {
        let reader = MetadataReader(file: file)
        guard let name = file["general.architecture"]?.string else {
            throw .missingKey(file: file.path, key: "general.architecture", expected: "the name of a family")
        }
        guard let family = ModelFamilies.ofGGUF(name) else {
            throw .unsupportedArchitecture(
                file: file.path, name: name, supported: ModelFamilies.ggufNames)
        }
        let layers = try reader.integer("\(name).block_count", in: 1...1 << 16)
        let width = try reader.integer("\(name).embedding_length", in: 1...1 << 20)
        let ownHeads = try reader.perLayer("\(name).attention.head_count", layers: layers, in: 1...1 << 16)
        let heads = ownHeads.max() ?? 1
        let keyHeadsKey = "\(name).attention.head_count_kv"
        let ownKeyHeads =
            file[keyHeadsKey] == nil ? ownHeads : try reader.perLayer(keyHeadsKey, layers: layers, in: 1...heads)
        let keyHeads = ownKeyHeads.max() ?? 1
        for (own, ownKeys) in zip(ownHeads, ownKeyHeads) where own % ownKeys != 0 {
            throw reader.wrong(keyHeadsKey, "a divisor of \(own), the head count")
        }
        let ownWidths = try reader.perLayer("\(name).feed_forward_length", layers: layers, in: 1...1 << 20)
        let keyWidth = "\(name).attention.key_length"
        if file[keyWidth] == nil, width % heads != 0 {
            throw reader.wrong("\(name).attention.head_count", "a divisor of \(width), the width")
        }
        let headWidth = try reader.integer(keyWidth, in: 2...1 << 16, absent: width / heads)
        guard headWidth.isMultiple(of: 2) else { throw reader.wrong(keyWidth, "an even head width") }
        _ = try reader.integer(
            "\(name).attention.value_length", in: headWidth...headWidth, absent: headWidth)
        let rotaryKey = "\(name).rope.dimension_count"
        let least = family.ggufRotary == .interleaved ? headWidth : 2
        let rotaryWidth = try reader.integer(rotaryKey, in: least...headWidth, absent: headWidth)
        guard rotaryWidth.isMultiple(of: 2) else { throw reader.wrong(rotaryKey, "an even number") }
        guard let table = file.tensors.first(where: { $0.name == "token_embd.weight" }),
            table.shape.count == 2
        else {
            throw .missingKey(file: file.path, key: "token_embd.weight", expected: "a matrix of embeddings")
        }
        let vocabulary = table.shape[0]
        _ = try reader.integer("\(name).vocab_size", in: vocabulary...vocabulary, absent: vocabulary)
        let context = try reader.integer("\(name).context_length", in: 1...1 << 30)
        var rope = try reader.rope(
            name, base: family.keys.ropeBase, headWidth: rotaryWidth, context: context)
        rope.share = Double(rotaryWidth) / Double(headWidth)
        let epsilonKey = family.traits.norm == .rms ? "layer_norm_rms_epsilon" : "layer_norm_epsilon"
        let epsilon = try reader.number("\(name).attention.\(epsilonKey)", in: 0...1, absent: nil)
        let bos = try reader.token("tokenizer.ggml.bos_token_id", vocabulary: vocabulary)
        let eos = try [
            reader.token("tokenizer.ggml.eos_token_id", vocabulary: vocabulary),
            reader.token("tokenizer.ggml.eot_token_id", vocabulary: vocabulary),
        ].compactMap(\.self)
        self.init(
            architecture: name, vocabularySize: vocabulary, width: width, layers: layers, heads: heads,
            keyValueHeads: keyHeads, headWidth: headWidth,
            feedForwardWidth: ownWidths.max() ?? 1,
            contextLength: context, ropeBase: rope.base, normEpsilon: Float(epsilon),
            tiesEmbeddings: !file.tensors.contains { $0.name == "output.weight" },
            bosID: bos, eosIDs: eos.count == 2 && eos[0] == eos[1] ? [eos[0]] : eos,
            rotaryStyle: family.ggufRotary, huggingFace: JSONObject(), ropeScaling: rope.scaling,
            traits: family.traits, metadata: try GeneralMetadata(file))
        self.rope = rope
        setLayerShapes(heads: ownHeads, keyValueHeads: ownKeyHeads, feedForwardWidths: ownWidths)
        try family.readMetadata(reader, &self)
        let experts = try reader.integer("\(name).expert_count", in: 0...1 << 16, absent: 0)
        guard (experts > 0) == (traits.experts != nil) else {
            throw .unsupported(
                file: file.path, feature: "a mixture of \(experts) experts in architecture '\(name)'",
                advice: "use a dense model, or a mixture of Mixtral's or Qwen's")
        }
        huggingFace = made(
            padding: try reader.token("tokenizer.ggml.padding_token_id", vocabulary: vocabulary))
    }
}

/// Reads metadata values with the range they must be in.
struct MetadataReader {
    let file: GGUFFile

    func wrong(_ key: String, _ expected: String) -> GGUFError {
        guard let value = file[key] else { return .missingKey(file: file.path, key: key, expected: expected) }
        return .wrongValue(file: file.path, key: key, found: value.summary, expected: expected)
    }

    func integer(_ key: String, in range: ClosedRange<Int>, absent: Int? = nil) throws(GGUFError) -> Int {
        if file[key] == nil, let absent { return absent }
        guard let value = file[key]?.integer, range.contains(value) else {
            throw wrong(key, expectation(range))
        }
        return value
    }

    /// A number for all layers, or a list with one for each.
    func perLayer(_ key: String, layers: Int, in range: ClosedRange<Int>) throws(GGUFError) -> [Int] {
        guard file[key]?.array != nil else {
            return Array(repeating: try integer(key, in: range), count: layers)
        }
        guard let values = try file.integers(key), values.count == layers, values.allSatisfy(range.contains)
        else {
            let numbers = "\(range.lowerBound) to \(range.upperBound)"
            throw wrong(key, "a whole number from \(numbers), or one for each of the \(layers) layers")
        }
        return values
    }

    /// The experts of every block, as all families with experts say them.
    ///
    /// - Parameter width: of an expert where the file has no key of its own for it.
    func readExperts(
        _ configuration: inout ModelConfiguration, width: Int?, renormalises: Bool
    ) throws(GGUFError) {
        let name = configuration.family.ggufName ?? configuration.architecture
        let count = try integer("\(name).expert_count", in: 1...1 << 12)
        configuration.traits.experts = ExpertTraits(
            count: count, used: try integer("\(name).expert_used_count", in: 1...count),
            width: try integer("\(name).expert_feed_forward_length", in: 1...1 << 20, absent: width),
            renormalises: renormalises)
        configuration.setExperts(Array(repeating: count, count: configuration.layers))
    }

    func number(_ key: String, in range: ClosedRange<Double>, absent: Double?) throws(GGUFError) -> Double {
        if file[key] == nil, let absent { return absent }
        guard let value = file[key]?.number, range.contains(value) else {
            throw wrong(key, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func token(_ key: String, vocabulary: Int) throws(GGUFError) -> Int? {
        file[key] == nil ? nil : try integer(key, in: 0...vocabulary - 1)
    }

    private func expectation(_ range: ClosedRange<Int>) -> String {
        range.count == 1
            ? "\(range.lowerBound)" : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
}
