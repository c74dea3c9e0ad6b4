import WinnowJSON

extension ModelFamily {
    /// StableLM 2 and its kin: layer norms, a quarter of each head turns, perhaps both branches side by side.
    static let stableLM = ModelFamily(
        huggingFaceNames: ["stablelm"], className: "StableLmForCausalLM", ggufName: nil, names: .stableLM,
        keys: FolderKeys(normEpsilon: "layer_norm_eps", ropeShare: 0.25, epsilon: 1e-5, context: 4096),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.refuse("qk_layernorm", advice: "use a model without norms of each head")
            configuration.traits.hasQueryKeyValueBiases = try reader.flag("use_qkv_bias", absent: false)
            configuration.traits.isParallel = try reader.flag("use_parallel_residual", absent: false)
            configuration.traits.sharesBranchNorm = configuration.traits.isParallel
        },
        describe: { configuration, config in
            config["use_qkv_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            config["use_parallel_residual"] = .bool(configuration.traits.isParallel)
            config["qk_layernorm"] = false
        })
}

extension TensorNames {
    fileprivate static let stableLM = TensorNames.llama.replacing([
        (.attentionNormBias, "input_layernorm.bias", ""),
        (.feedForwardNormBias, "post_attention_layernorm.bias", ""),
        (.finalNormBias, "model.norm.bias", ""),
    ])
}
