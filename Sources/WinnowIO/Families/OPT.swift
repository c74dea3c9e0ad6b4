import WinnowJSON

extension ModelFamily {
    /// OPT but for the 350M model, whose norms come after its branches: layer norms, learned positions, ReLU.
    static let opt = ModelFamily(
        huggingFaceNames: ["opt"], className: "OPTForCausalLM", ggufName: nil, names: .opt,
        keys: FolderKeys(
            feedForwardWidth: "ffn_dim", activation: "activation_function", epsilon: 1e-5,
            tiesEmbeddings: true, activations: ["relu"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.hasQueryKeyValueBiases = true
            traits.hasOutputBias = true
            traits.hasFeedForwardBiases = true
            traits.isGated = false
            traits.activation = .relu
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            for key in ["do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine"] {
                guard try reader.flag(key, absent: true) else {
                    throw .unsupported(
                        file: reader.file, feature: "'\(key)': false", advice: "use another size of OPT")
                }
            }
            try reader.refuse("_remove_final_layer_norm", advice: "use a model with its final norm")
            let width = configuration.width
            let inner = try reader.integer("word_embed_proj_dim", in: 1...1 << 20, absent: width)
            guard inner == width else {
                throw .unsupported(
                    file: reader.file, feature: "'word_embed_proj_dim': \(inner) at a width of \(width)",
                    advice: "use another size of OPT")
            }
            // The epsilon is fixed in the code that reads these folders.
            configuration.normEpsilon = 1e-5
            configuration.traits.learnedPositions = LearnedPositions(
                rows: configuration.contextLength + 2, offset: 2)
        })
}

extension TensorNames {
    fileprivate static let opt = TensorNames(
        blockPrefix: "model.decoder.layers.",
        [
            (.embedding, "model.decoder.embed_tokens.weight", ""),
            (.positions, "model.decoder.embed_positions.weight", ""),
            (.finalNorm, "model.decoder.final_layer_norm.weight", ""),
            (.finalNormBias, "model.decoder.final_layer_norm.bias", ""),
            (.head, "lm_head.weight", ""),
            (.attentionNorm, "self_attn_layer_norm.weight", ""),
            (.attentionNormBias, "self_attn_layer_norm.bias", ""),
            (.query, "self_attn.q_proj.weight", ""),
            (.queryBias, "self_attn.q_proj.bias", ""),
            (.key, "self_attn.k_proj.weight", ""),
            (.keyBias, "self_attn.k_proj.bias", ""),
            (.value, "self_attn.v_proj.weight", ""),
            (.valueBias, "self_attn.v_proj.bias", ""),
            (.output, "self_attn.out_proj.weight", ""),
            (.outputBias, "self_attn.out_proj.bias", ""),
            (.feedForwardNorm, "final_layer_norm.weight", ""),
            (.feedForwardNormBias, "final_layer_norm.bias", ""),
            (.up, "fc1.weight", ""),
            (.upBias, "fc1.bias", ""),
            (.down, "fc2.weight", ""),
            (.downBias, "fc2.bias", ""),
        ])
}
