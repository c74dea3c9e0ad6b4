import WinnowJSON
import WinnowText

/// The metadata that a GGUF file of a Llama needs, in the order of llama.cpp's converter.
struct GGUFMetadata {
    enum Value {
        case uint32(Int)
        case float32(Float)
        case bool(Bool)
        case string(String)
        case strings([String])
        case float32s([Float])
        case int32s([Int32])
    }

    private(set) var pairs: [(key: String, value: Value)] = []

    /// The key whose value is known when all tensors are.
    static let fileTypeKey = "general.file_type"

    /// The number that `general.file_type` gives to files mostly of a tensor type.
    static func fileType(of code: UInt32) -> Int {
        switch code {
        case 0: 0  // all F32
        case 1: 1
        case 2: 2
        case 3: 3
        case 8: 7
        case 30: 32
        default: 1
        }
    }

    /// - Parameter fallbackName: the model's name when neither its metadata nor its `config.json` say it.
    init(
        _ configuration: ModelConfiguration, _ tokenizer: TokenizerDefinition, vocabulary: Int,
        fallbackName: String?
    ) {
        let name = configuration.family.ggufName ?? configuration.architecture
        func add(_ key: String, _ value: Value) { pairs.append((key, value)) }
        add("general.architecture", .string(name))
        add("general.type", .string("model"))
        let said = configuration.metadata
        let label = configuration.huggingFace["_name_or_path"]?.string ?? ""
        if let label = said.name ?? (label.isEmpty ? fallbackName : label) {
            add("general.name", .string(label))
        }
        for key in said.keys where key != "general.name" {
            switch said[key] {
            case .text(let text): add(key, .string(text))
            case .texts(let texts): add(key, .strings(texts))
            case .count(let count): add(key, .uint32(count))
            case nil: continue
            }
        }
        add("\(name).block_count", .uint32(configuration.layers))
        add("\(name).context_length", .uint32(configuration.contextLength))
        add("\(name).embedding_length", .uint32(configuration.width))
        let shapes = (0..<configuration.layers).map(configuration.shape(ofLayer:))
        /// One number where all layers agree.
        func add(_ key: String, _ own: KeyPath<LayerShape, Int>) {
            let values = shapes.map { $0[keyPath: own] }
            let first = values.first ?? 0
            let same = values.allSatisfy { $0 == first }
            pairs.append((key, same ? .uint32(first) : .int32s(values.map { Int32(clamping: $0) })))
        }
        add("\(name).feed_forward_length", \.feedForwardWidth)
        add("\(name).attention.head_count", \.heads)
        add("\(name).attention.head_count_kv", \.keyValueHeads)
        if let experts = configuration.traits.experts {
            add("\(name).expert_count", .uint32(experts.count))
            add("\(name).expert_used_count", .uint32(experts.used))
            add("\(name).expert_feed_forward_length", .uint32(experts.width))
            if experts.sharedWidth > 0 {
                add("\(name).expert_shared_feed_forward_length", .uint32(experts.sharedWidth))
            }
        }
        if configuration.headWidth * configuration.heads != configuration.width {
            add("\(name).attention.key_length", .uint32(configuration.headWidth))
            add("\(name).attention.value_length", .uint32(configuration.headWidth))
        }
        let traits = configuration.traits
        let epsilon = traits.norm == .rms ? "layer_norm_rms_epsilon" : "layer_norm_epsilon"
        add("\(name).attention.\(epsilon)", .float32(configuration.normEpsilon))
        if !traits.isCausal { add("\(name).attention.causal", .bool(false)) }
        if let window = traits.slidingWindow { add("\(name).attention.sliding_window", .uint32(window)) }
        if let period = configuration.slidingPeriod {
            add("\(name).attention.sliding_window_pattern", .uint32(period))
        }
        for (key, cap) in [("attn", traits.attentionCap), ("final", traits.logitCap)] where cap > 0 {
            add("\(name).\(key)_logit_softcapping", .float32(cap))
        }
        add(GGUFMetadata.fileTypeKey, .uint32(0))
        add("\(name).vocab_size", .uint32(vocabulary))
        if traits.learnedPositions == nil { addRope(configuration, name) }
        add("tokenizer.ggml.add_space_prefix", .bool(tokenizer.addsSpacePrefix))
        add("tokenizer.ggml.add_bos_token", .bool(tokenizer.addsBOS))
        if tokenizer.addsEOS { add("tokenizer.ggml.add_eos_token", .bool(true)) }
        add("tokenizer.ggml.model", .string(tokenizer.ggufModel))
        add("tokenizer.ggml.pre", .string(tokenizer.ggufPreTokenizer))
        add("tokenizer.ggml.tokens", .strings(padded(tokenizer.tokens, to: vocabulary)))
        let unused = repeatElement(
            TokenKind.unused.rawValue, count: max(vocabulary - tokenizer.kinds.count, 0))
        add("tokenizer.ggml.token_type", .int32s(tokenizer.kinds.map(\.rawValue) + unused))
        if tokenizer.model == .byteLevelBPE {
            add("tokenizer.ggml.merges", .strings(tokenizer.mergeTexts))
        } else {
            let scores = tokenizer.ggufScores
            add(
                "tokenizer.ggml.scores",
                .float32s(scores + repeatElement(-10000, count: max(vocabulary - scores.count, 0))))
        }
        let eos = tokenizer.eosID.map { Int($0) } ?? configuration.eosIDs.first
        let turnEnd = configuration.eosIDs.first { $0 != eos }
        for (key, id) in [
            ("bos", tokenizer.bosID.map { Int($0) } ?? configuration.bosID), ("eos", eos), ("eot", turnEnd),
            ("unknown", tokenizer.unknownID.map { Int($0) }),
            ("padding", tokenizer.paddingID.map { Int($0) }),
        ] {
            if let id { add("tokenizer.ggml.\(key)_token_id", .uint32(id)) }
        }
        if let template = tokenizer.chatTemplate { add("tokenizer.chat_template", .string(template)) }
        add("general.quantization_version", .uint32(2))
    }

    private mutating func addRope(_ configuration: ModelConfiguration, _ name: String) {
        func add(_ key: String, _ value: Value) { pairs.append(("\(name).rope.\(key)", value)) }
        let rope = configuration.rope
        add("freq_base", .float32(Float(rope.base)))
        add("dimension_count", .uint32(rope.width(ofHead: configuration.headWidth)))
        if let sliding = configuration.traits.slidingRope, sliding.base != 10_000 {
            add("freq_base_swa", .float32(Float(sliding.base)))
        }
        switch rope.scaling {
        case .none, .llama3, .factors: break
        case .linear(let factor):
            add("scaling.type", .string("linear"))
            add("scaling.factor", .float32(Float(factor)))
        case .yarn(let factor, let fast, let slow, let original, let attention, _):
            add("scaling.type", .string("yarn"))
            add("scaling.factor", .float32(Float(factor)))
            add("scaling.original_context_length", .uint32(original))
            add("scaling.yarn_beta_fast", .float32(Float(fast)))
            add("scaling.yarn_beta_slow", .float32(Float(slow)))
            add("scaling.attn_factor", .float32(Float(attention / RopeScaling.yarnAttentionFactor(factor))))
        case .longrope(_, _, let original, let attention):
            add("scaling.original_context_length", .uint32(original))
            add("scaling.attn_factor", .float32(Float(attention)))
        }
    }

    /// Rows of the embedding that no token has get the names that converters give them.
    private func padded(_ tokens: [String], to count: Int) -> [String] {
        tokens + (tokens.count..<max(count, tokens.count)).map { "[PAD\($0)]" }
    }
}

extension ModelConfiguration {
    /// Every how many layers one does not slide, the last of each run; nil without a window or where all slide.
    var slidingPeriod: Int? {
        guard traits.slidingWindow != nil, let full = traits.slidingLayers.firstIndex(of: false) else {
            return nil
        }
        return full + 1
    }

    /// Why GGUF files cannot say what this model is; nil when they can.
    var ggufObstacle: String? {
        if family.ggufName == nil { return "architecture '\(architecture)'" }
        if let period = slidingPeriod,
            traits.slidingLayers != (0..<layers).map({ ($0 + 1) % period != 0 })
                || family.ggufName?.hasPrefix("gemma") != true
        {
            return "this choice of sliding layers ('layer_types')"
        }
        if traits.slidingWindow != nil, family.ggufName?.hasPrefix("qwen") ?? false {
            return "'use_sliding_window'"
        }
        if let scale = traits.attentionScale, abs(scale - ggufGemmaScale) > 1e-6 * scale {
            return "this 'query_pre_attn_scalar'"
        }
        // Readers take the caps of Gemma 2 for granted, and know no other caps of scores.
        if (traits.attentionCap > 0) != (family.ggufName == "gemma2")
            || family.ggufName == "gemma2" && traits.logitCap == 0
        {
            return "this 'attn_logit_softcapping' or 'final_logit_softcapping'"
        }
        if !traits.isCausal, architecture != "bert" { return "positions that begin after the padding token" }
        if let experts = traits.experts {
            // Readers take it for granted, by architecture.
            if experts.renormalises != (family.ggufName != "qwen2moe") { return "this 'norm_topk_prob'" }
            if !experts.isEverywhere(layers) { return "experts in some layers only" }
            if layerShapes.contains(where: { $0.experts != experts.count }) {
                return "numbers of experts that differ by layer"
            }
        }
        if traits.hasQueryKeyValueBiases, !family.traits.hasQueryKeyValueBiases, family.ggufName != "llama" {
            return "'attention_bias'"
        }
        if case .yarn(_, _, _, _, _, truncates: false) = rope.scaling { return "'truncate': false of yarn" }
        if rope.share != 1, family.ggufRotary == .interleaved { return "'partial_rotary_factor'" }
        if let sliding = traits.slidingRope, sliding.scaling != .none {
            return "rope scaling of sliding layers"
        }
        return nil
    }
}

/// The bytes of a GGUF file before its tensors.
enum GGUFBytes {
    static func head(_ metadata: GGUFMetadata, _ entries: [GGUFWriter.Entry], fileType: Int) -> [UInt8] {
        var bytes = Array("GGUF".utf8)
        append(UInt32(3), to: &bytes)
        append(UInt64(entries.count), to: &bytes)
        append(UInt64(metadata.pairs.count), to: &bytes)
        for (key, value) in metadata.pairs {
            append(key, to: &bytes)
            append(key == GGUFMetadata.fileTypeKey ? .uint32(fileType) : value, to: &bytes)
        }
        for entry in entries {
            append(entry.ggufName, to: &bytes)
            append(UInt32(entry.dimensions.count), to: &bytes)
            for dimension in entry.dimensions.reversed() { append(UInt64(dimension), to: &bytes) }
            append(entry.type.code, to: &bytes)
            append(UInt64(entry.offset), to: &bytes)
        }
        return bytes
    }

    private static func append(_ value: GGUFMetadata.Value, to bytes: inout [UInt8]) {
        switch value {
        case .uint32(let number):
            append(GGUFValueType.uint32.rawValue, to: &bytes)
            append(UInt32(clamping: number), to: &bytes)
        case .float32(let number):
            append(GGUFValueType.float32.rawValue, to: &bytes)
            append(number.bitPattern, to: &bytes)
        case .bool(let flag):
            append(GGUFValueType.bool.rawValue, to: &bytes)
            bytes.append(flag ? 1 : 0)
        case .string(let text):
            append(GGUFValueType.string.rawValue, to: &bytes)
            append(text, to: &bytes)
        case .strings(let texts):
            append(GGUFValueType.array.rawValue, to: &bytes)
            append(GGUFValueType.string.rawValue, to: &bytes)
            append(UInt64(texts.count), to: &bytes)
            for text in texts { append(text, to: &bytes) }
        case .float32s(let numbers):
            append(GGUFValueType.array.rawValue, to: &bytes)
            append(GGUFValueType.float32.rawValue, to: &bytes)
            append(UInt64(numbers.count), to: &bytes)
            for number in numbers { append(number.bitPattern, to: &bytes) }
        case .int32s(let numbers):
            append(GGUFValueType.array.rawValue, to: &bytes)
            append(GGUFValueType.int32.rawValue, to: &bytes)
            append(UInt64(numbers.count), to: &bytes)
            for number in numbers { append(number, to: &bytes) }
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func append<Value: FixedWidthInteger>(_ value: Value, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
