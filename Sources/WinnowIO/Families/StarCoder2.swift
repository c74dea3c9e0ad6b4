import WinnowJSON

extension ModelFamily {
    /// StarCoder 2: layer norms, biases everywhere, GELU without a gate, rotary positions, perhaps a window.
    static let starCoder2 = ModelFamily(
        huggingFaceNames: ["starcoder2"], className: "Starcoder2ForCausalLM", ggufName: "starcoder2",
        names: .starCoder2,
        keys: FolderKeys(
            normEpsilon: "norm_epsilon", epsilon: 1e-5, context: 4096, tiesEmbeddings: true,
            activations: ["gelu_pytorch_tanh"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.hasQueryKeyValueBiases = true
            traits.hasOutputBias = true
            traits.hasFeedForwardBiases = true
            traits.isGated = false
            traits.activation = .geluTanh
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            guard try reader.flag("use_bias", absent: true) else {
                throw .unsupported(
                    file: reader.file, feature: "'use_bias': false", advice: "use a model with biases")
            }
            try reader.readSlidingWindow("sliding_window", &configuration) { _ in true }
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            try reader.readSlidingWindow(&configuration) { _ in true }
        },
        describe: { configuration, config in
            config["use_bias"] = true
            config["norm_type"] = "layer_norm"
            config["sliding_window"] = .window(configuration.traits.slidingWindow)
        })
}

extension TensorNames {
    fileprivate static let starCoder2 = TensorNames.llama.replacing([
        (.attentionNormBias, "input_layernorm.bias", "attn_norm.bias"),
        (.feedForwardNormBias, "post_attention_layernorm.bias", "ffn_norm.bias"),
        (.finalNormBias, "model.norm.bias", "output_norm.bias"),
        (.up, "mlp.c_fc.weight", "ffn_up.weight"),
        (.upBias, "mlp.c_fc.bias", "ffn_up.bias"),
        (.down, "mlp.c_proj.weight", "ffn_down.weight"),
        (.downBias, "mlp.c_proj.bias", "ffn_down.bias"),
    ])
}
