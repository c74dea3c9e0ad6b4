import WinnowJSON

extension ModelFamily {
    /// GPT-2: layer norms, learned positions, one matrix for q, k and v, biases everywhere, GELU without a gate.
    static let gpt2 = ModelFamily(
        huggingFaceNames: ["gpt2"], className: "GPT2LMHeadModel", ggufName: "gpt2", names: .gpt2,
        modelPrefix: "transformer.", ignoredSuffixes: [".attn.bias", ".attn.masked_bias"],
        transposesLinears: true,
        keys: FolderKeys(
            width: "n_embd", layers: "n_layer", heads: "n_head", feedForwardWidth: "n_inner",
            contextLength: "n_positions", normEpsilon: "layer_norm_epsilon",
            activation: "activation_function",
            hasFeedForwardDefault: true, epsilon: 1e-5, context: 1024, tiesEmbeddings: true,
            activations: ["gelu_new", "gelu_pytorch_tanh"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.fusesQueryKeyValue = true
            traits.hasQueryKeyValueBiases = true
            traits.hasOutputBias = true
            traits.hasFeedForwardBiases = true
            traits.isGated = false
            traits.activation = .geluTanh
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.refuse("scale_attn_by_inverse_layer_idx", advice: "use a model without it")
            guard try reader.flag("scale_attn_weights", absent: true) else {
                throw .unsupported(
                    file: reader.file, feature: "'scale_attn_weights': false", advice: "use a model with it")
            }
            configuration.traits.learnedPositions = LearnedPositions(
                rows: configuration.contextLength, offset: 0)
        },
        readMetadata: { _, configuration throws(GGUFError) in
            configuration.traits.learnedPositions = LearnedPositions(
                rows: configuration.contextLength, offset: 0)
        })
}

extension TensorNames {
    fileprivate static let gpt2 = TensorNames(
        blockPrefix: "transformer.h.",
        [
            (.embedding, "transformer.wte.weight", "token_embd.weight"),
            (.positions, "transformer.wpe.weight", "position_embd.weight"),
            (.finalNorm, "transformer.ln_f.weight", "output_norm.weight"),
            (.finalNormBias, "transformer.ln_f.bias", "output_norm.bias"),
            (.head, "lm_head.weight", "output.weight"),
            (.attentionNorm, "ln_1.weight", "attn_norm.weight"),
            (.attentionNormBias, "ln_1.bias", "attn_norm.bias"),
            (.queryKeyValue, "attn.c_attn.weight", "attn_qkv.weight"),
            (.queryKeyValueBias, "attn.c_attn.bias", "attn_qkv.bias"),
            (.output, "attn.c_proj.weight", "attn_output.weight"),
            (.outputBias, "attn.c_proj.bias", "attn_output.bias"),
            (.feedForwardNorm, "ln_2.weight", "ffn_norm.weight"),
            (.feedForwardNormBias, "ln_2.bias", "ffn_norm.bias"),
            (.up, "mlp.c_fc.weight", "ffn_up.weight"),
            (.upBias, "mlp.c_fc.bias", "ffn_up.bias"),
            (.down, "mlp.c_proj.weight", "ffn_down.weight"),
            (.downBias, "mlp.c_proj.bias", "ffn_down.bias"),
        ])
}
