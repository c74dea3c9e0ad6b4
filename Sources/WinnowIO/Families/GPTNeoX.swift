import WinnowJSON

extension ModelFamily {
    /// GPT-NeoX and Pythia: both branches side by side, a quarter of each head turns, biases, exact GELU.
    static let gptNeoX = ModelFamily(
        huggingFaceNames: ["gpt_neox"], className: "GPTNeoXForCausalLM", ggufName: nil, names: .gptNeoX,
        modelPrefix: "gpt_neox.",
        ignoredSuffixes: [".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"],
        interleavesQueryKeyValue: true,
        keys: FolderKeys(
            normEpsilon: "layer_norm_eps", ropeShare: 0.25, epsilon: 1e-5, activations: ["gelu"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.fusesQueryKeyValue = true
            traits.hasQueryKeyValueBiases = true
            traits.hasOutputBias = true
            traits.hasFeedForwardBiases = true
            traits.isGated = false
            traits.activation = .gelu
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            guard configuration.heads == configuration.keyValueHeads else {
                throw reader.wrong("num_key_value_heads", "as many as heads (\(configuration.heads))")
            }
            let hasBiases = try reader.flag("attention_bias", absent: true)
            configuration.traits.hasQueryKeyValueBiases = hasBiases
            configuration.traits.hasOutputBias = hasBiases
            configuration.traits.isParallel = try reader.flag("use_parallel_residual", absent: true)
            if !reader.has("rope_parameters.rope_theta"), !reader.has("rope_theta") {
                configuration.rope.base = try reader.number("rotary_emb_base", in: 1...1e12, absent: 10_000)
            }
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasOutputBias)
            config["use_parallel_residual"] = .bool(configuration.traits.isParallel)
        })
}

extension TensorNames {
    fileprivate static let gptNeoX = TensorNames(
        blockPrefix: "gpt_neox.layers.",
        [
            (.embedding, "gpt_neox.embed_in.weight", ""),
            (.finalNorm, "gpt_neox.final_layer_norm.weight", ""),
            (.finalNormBias, "gpt_neox.final_layer_norm.bias", ""),
            (.head, "embed_out.weight", ""),
            (.attentionNorm, "input_layernorm.weight", ""),
            (.attentionNormBias, "input_layernorm.bias", ""),
            (.queryKeyValue, "attention.query_key_value.weight", ""),
            (.queryKeyValueBias, "attention.query_key_value.bias", ""),
            (.output, "attention.dense.weight", ""),
            (.outputBias, "attention.dense.bias", ""),
            (.feedForwardNorm, "post_attention_layernorm.weight", ""),
            (.feedForwardNormBias, "post_attention_layernorm.bias", ""),
            (.up, "mlp.dense_h_to_4h.weight", ""),
            (.upBias, "mlp.dense_h_to_4h.bias", ""),
            (.down, "mlp.dense_4h_to_h.weight", ""),
            (.downBias, "mlp.dense_4h_to_h.bias", ""),
        ])
}
