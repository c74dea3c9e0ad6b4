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
        let heads = try reader.uniform("\(name).attention.head_count", layers: layers, in: 1...1 << 16)
        let keyHeads = try reader.uniform(
            "\(name).attention.head_count_kv", layers: layers, in: 1...heads, absent: heads)
        guard heads % keyHeads == 0 else {
            throw reader.wrong("\(name).attention.head_count_kv", "a divisor of \(heads), the head count")
        }
        let keyWidth = "\(name).attention.key_length"
        if file[keyWidth] == nil, width % heads != 0 {
            throw reader.wrong("\(name).attention.head_count", "a divisor of \(width), the width")
        }
        let headWidth = try reader.integer(keyWidth, in: 2...1 << 16, absent: width / heads)
        guard headWidth.isMultiple(of: 2) else { throw reader.wrong(keyWidth, "an even head width") }
        _ = try reader.integer(
            "\(name).attention.value_length", in: headWidth...headWidth, absent: headWidth)
        _ = try reader.integer("\(name).rope.dimension_count", in: headWidth...headWidth, absent: headWidth)
        if let experts = file["\(name).expert_count"]?.integer, experts > 0 {
            throw .unsupported(
                file: file.path, feature: "a mixture of \(experts) experts", advice: "use a dense model")
        }
        guard let table = file.tensors.first(where: { $0.name == "token_embd.weight" }),
            table.shape.count == 2
        else {
            throw .missingKey(file: file.path, key: "token_embd.weight", expected: "a matrix of embeddings")
        }
        let vocabulary = table.shape[0]
        _ = try reader.integer("\(name).vocab_size", in: vocabulary...vocabulary, absent: vocabulary)
        let context = try reader.integer("\(name).context_length", in: 1...1 << 30)
        let rope = try reader.rope(
            name, base: family.keys.ropeBase, headWidth: headWidth, context: context)
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
            feedForwardWidth: try reader.uniform(
                "\(name).feed_forward_length", layers: layers, in: 1...1 << 20),
            contextLength: context, ropeBase: rope.base, normEpsilon: Float(epsilon),
            tiesEmbeddings: !file.tensors.contains { $0.name == "output.weight" },
            bosID: bos, eosIDs: eos.count == 2 && eos[0] == eos[1] ? [eos[0]] : eos,
            rotaryStyle: family.ggufRotary, huggingFace: JSONObject(), ropeScaling: rope.scaling,
            traits: family.traits, metadata: try GeneralMetadata(file))
        try family.readMetadata(reader, &self)
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

    /// A number for all layers, or a list with the same number for each.
    func uniform(
        _ key: String, layers: Int, in range: ClosedRange<Int>, absent: Int? = nil
    ) throws(GGUFError) -> Int {
        guard file[key]?.array != nil else { return try integer(key, in: range, absent: absent) }
        guard let values = try file.integers(key), values.count == layers, let first = values.first,
            range.contains(first), values.allSatisfy({ $0 == first })
        else {
            throw wrong(key, "one number, or \(layers) equal ones: layers of different shapes cannot be run")
        }
        return first
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
