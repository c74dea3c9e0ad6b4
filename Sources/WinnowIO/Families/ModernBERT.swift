import WinnowJSON

extension ModelFamily {
    /// ModernBERT: an encoder with rotary positions, norms without biases before each branch, a GELU gate, and
    /// attention to near tokens alone in two of three blocks.
    static let modernBERT = ModelFamily(
        huggingFaceNames: ["modernbert"], className: "ModernBertModel", ggufName: nil, names: .modernBERT,
        modelPrefix: "", droppedPrefixes: ["model."], ignoredPrefixes: ["head.", "decoder.", "classifier."],
        keys: FolderKeys(
            normEpsilon: "norm_eps", activation: "hidden_activation", ropeBase: 160_000, epsilon: 1e-5,
            context: 8192, tiesEmbeddings: true, activations: ["gelu"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.hasNormBiases = false
            traits.omitsFirstNorm = true
            traits.hasEmbeddingNorm = true
            traits.fusesQueryKeyValue = true
            traits.fusesGateUp = true
            traits.activation = .gelu
            traits.isCausal = false
            traits.hasHead = false
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            for key in ["attention_bias", "mlp_bias"] {
                try reader.refuse(key, advice: "use a model without such biases")
            }
            configuration.traits.hasNormBiases = try reader.flag("norm_bias", absent: false)
            let period = try reader.integer("global_attn_every_n_layers", in: 1...1 << 16, absent: 3)
            let window = try reader.integer("local_attention", in: 2...1 << 30, absent: 128)
            try reader.readSlidingWindow("local_attention", absent: window, &configuration) {
                $0 % period != 0
            }
            // Half of it to each side.
            configuration.traits.slidingWindow = configuration.traits.slidingWindow.map { $0 / 2 }
            func rope(_ kind: String, _ key: String, _ absent: Double) throws(CheckpointError) -> RopeSettings
            {
                try reader.rope(
                    base: try reader.number(key, in: 1...1e12, absent: absent),
                    headWidth: configuration.headWidth, context: configuration.contextLength, layerType: kind)
            }
            configuration.rope = try rope("full_attention", "global_rope_theta", 160_000)
            configuration.traits.slidingRope = try rope("sliding_attention", "local_rope_theta", 10_000)
        },
        describe: { configuration, config in
            let traits = configuration.traits
            config["norm_bias"] = .bool(traits.hasNormBiases)
            config["local_attention"] = .integer(Int64(2 * (traits.slidingWindow ?? 64)))
            config["layer_types"] = .layerTypes(configuration)
            let sliding = traits.slidingRope ?? RopeSettings(base: 10_000)
            config["rope_parameters"] = .object(
                JSONObject([
                    ("full_attention", .object(configuration.folderRope.json)),
                    ("sliding_attention", .object(sliding.json)),
                ]))
        })
}

extension TensorNames {
    fileprivate static let modernBERT = TensorNames(
        blockPrefix: "layers.",
        [
            (.embedding, "embeddings.tok_embeddings.weight", ""),
            (.embeddingNorm, "embeddings.norm.weight", ""),
            (.embeddingNormBias, "embeddings.norm.bias", ""),
            (.attentionNorm, "attn_norm.weight", ""),
            (.attentionNormBias, "attn_norm.bias", ""),
            (.queryKeyValue, "attn.Wqkv.weight", ""),
            (.output, "attn.Wo.weight", ""),
            (.feedForwardNorm, "mlp_norm.weight", ""),
            (.feedForwardNormBias, "mlp_norm.bias", ""),
            (.gateUp, "mlp.Wi.weight", ""),
            (.down, "mlp.Wo.weight", ""),
            (.finalNorm, "final_norm.weight", ""),
            (.finalNormBias, "final_norm.bias", ""),
        ])
}
