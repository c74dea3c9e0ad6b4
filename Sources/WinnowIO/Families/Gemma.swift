import WinnowJSON

extension ModelFamily {
    /// Gemma 1: a Llama with GELU gates, norms as differences from 1 and scaled embeddings.
    static let gemma = ModelFamily(
        huggingFaceNames: ["gemma"], className: "GemmaForCausalLM", ggufName: "gemma", names: .llama,
        folderNormOffset: 1,
        // What old files call 'gelu' is the tanh form.
        keys: FolderKeys(
            headWidth: 256, context: 8192, tiesEmbeddings: true, activations: ["gelu_pytorch_tanh", "gelu"]),
        traits: {
            var traits = DecoderTraits()
            traits.activation = .geluTanh
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.refuse("use_bidirectional_attention", advice: "use a model that writes left to right")
            try reader.readAttentionBias(&configuration)
            configuration.traits.embeddingScale = Float(configuration.width).squareRoot()
        },
        readMetadata: { _, configuration throws(GGUFError) in
            configuration.traits.embeddingScale = Float(configuration.width).squareRoot()
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
        })

    /// Gemma 2: norms after the branches too, soft caps, a window in every other layer.
    static let gemma2 = ModelFamily(
        huggingFaceNames: ["gemma2"], className: "Gemma2ForCausalLM", ggufName: "gemma2", names: .gemma,
        folderNormOffset: 1, keys: gemmaKeys(context: 8192, ropeBase: 10_000),
        traits: gemmaTraits(hasQueryKeyNorms: false),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readGemma(&configuration)
            configuration.traits.attentionCap = try reader.cap("attn_logit_softcapping", absent: 50)
            configuration.traits.logitCap = try reader.cap("final_logit_softcapping", absent: 30)
            try reader.readSlidingWindow("sliding_window", absent: 4096, &configuration) {
                $0.isMultiple(of: 2)
            }
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            configuration.readGemma()
            configuration.traits.attentionCap = Float(
                try reader.number("gemma2.attn_logit_softcapping", in: 0...1e6, absent: 50))
            configuration.traits.logitCap = Float(
                try reader.number("gemma2.final_logit_softcapping", in: 0...1e6, absent: 30))
            let period = try reader.integer(
                "gemma2.attention.sliding_window_pattern", in: 1...1 << 16, absent: 2)
            try reader.readSlidingWindow(absent: 4096, &configuration) { ($0 + 1) % period != 0 }
        },
        describe: { configuration, config in
            configuration.describeGemma(&config)
            let traits = configuration.traits
            config["attn_logit_softcapping"] = cap(traits.attentionCap)
            config["final_logit_softcapping"] = cap(traits.logitCap)
        })

    /// Gemma 3 (text): norms over the heads of q and k in place of the caps; sliding layers turn by a base of their own.
    static let gemma3 = ModelFamily(
        huggingFaceNames: ["gemma3_text"], className: "Gemma3ForCausalLM", ggufName: "gemma3", names: .gemma,
        folderNormOffset: 1, keys: gemmaKeys(context: 131_072, ropeBase: 1_000_000),
        traits: gemmaTraits(hasQueryKeyNorms: true),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readGemma(&configuration)
            configuration.traits.attentionCap = try reader.cap("attn_logit_softcapping", absent: 0)
            configuration.traits.logitCap = try reader.cap("final_logit_softcapping", absent: 0)
            let period = try reader.integer("sliding_window_pattern", in: 1...1 << 16, absent: 6)
            try reader.readSlidingWindow("sliding_window", absent: 4096, &configuration) {
                ($0 + 1) % period != 0
            }
            let local = try reader.number("rope_local_base_freq", in: 1...1e12, absent: 10_000)
            configuration.traits.slidingRope =
                reader.has("rope_parameters.sliding_attention")
                ? try reader.rope(
                    base: local, headWidth: configuration.headWidth, context: configuration.contextLength,
                    layerType: "sliding_attention")
                : RopeSettings(base: local)
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            configuration.readGemma()
            configuration.traits.logitCap = Float(
                try reader.number("gemma3.final_logit_softcapping", in: 0...1e6, absent: 0))
            let period = try reader.integer(
                "gemma3.attention.sliding_window_pattern", in: 1...1 << 16, absent: 6)
            try reader.readSlidingWindow(absent: 4096, &configuration) { ($0 + 1) % period != 0 }
            configuration.traits.slidingRope = RopeSettings(
                base: try reader.number("gemma3.rope.freq_base_swa", in: 1...1e12, absent: 10_000))
        },
        describe: { configuration, config in
            configuration.describeGemma(&config)
            config["attn_logit_softcapping"] = cap(configuration.traits.attentionCap)
            config["final_logit_softcapping"] = cap(configuration.traits.logitCap)
            let sliding = configuration.traits.slidingRope ?? RopeSettings(base: 10_000)
            config["rope_local_base_freq"] = .number(sliding.base)
            config["rope_parameters"] = .object(
                JSONObject([
                    ("full_attention", .object(configuration.folderRope.json)),
                    ("sliding_attention", .object(sliding.json)),
                ]))
        })

    private static func cap(_ value: Float) -> JSONValue { value > 0 ? .number(Double(value)) : .null }

    private static func gemmaKeys(context: Int, ropeBase: Double) -> FolderKeys {
        FolderKeys(
            activation: "hidden_activation", headWidth: 256, ropeBase: ropeBase, context: context,
            tiesEmbeddings: true, activations: ["gelu_pytorch_tanh"])
    }

    private static func gemmaTraits(hasQueryKeyNorms: Bool) -> DecoderTraits {
        var traits = DecoderTraits()
        traits.hasSandwichNorms = true
        traits.hasQueryKeyNorms = hasQueryKeyNorms
        traits.activation = .geluTanh
        return traits
    }
}

extension TensorNames {
    fileprivate static let gemma = TensorNames.llama.replacing([
        (.postAttentionNorm, "post_attention_layernorm.weight", "post_attention_norm.weight"),
        (.feedForwardNorm, "pre_feedforward_layernorm.weight", "ffn_norm.weight"),
        (.postFeedForwardNorm, "post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
    ])
}

extension FieldReader {
    fileprivate func readGemma(_ configuration: inout ModelConfiguration) throws(CheckpointError) {
        try refuse("use_bidirectional_attention", advice: "use a model that writes left to right")
        try readAttentionBias(&configuration)
        configuration.traits.embeddingScale = Float(configuration.width).squareRoot()
        let scalar = try number("query_pre_attn_scalar", in: 1e-6...1e6, absent: 256)
        configuration.traits.attentionScale = Float(1 / scalar.squareRoot())
    }

    /// A soft cap; null is none.
    fileprivate func cap(_ key: String, absent: Double) throws(CheckpointError) -> Float {
        if let value = fields[key], value.isNull { return 0 }
        return Float(try number(key, in: 0...1e6, absent: absent))
    }
}

extension ModelConfiguration {
    /// What GGUF files take for granted: the scale of scores is by head width, but in the two 27B models.
    var ggufGemmaScale: Float {
        let is27B = layers == 46 && family.ggufName == "gemma2" || layers == 62 && family.ggufName == "gemma3"
        return 1 / Float(is27B ? width / heads : headWidth).squareRoot()
    }

    fileprivate mutating func readGemma() {
        traits.embeddingScale = Float(width).squareRoot()
        traits.attentionScale = ggufGemmaScale
    }

    fileprivate func describeGemma(_ config: inout JSONObject) {
        let scale = Double(traits.attentionScale ?? ggufGemmaScale)
        config["attention_bias"] = .bool(traits.hasQueryKeyValueBiases)
        config["query_pre_attn_scalar"] = .number((1 / (scale * scale)).rounded())
        config["sliding_window"] = .window(traits.slidingWindow)
        config["layer_types"] = .layerTypes(self)
    }
}
