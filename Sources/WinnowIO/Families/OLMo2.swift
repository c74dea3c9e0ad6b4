import WinnowJSON

extension ModelFamily {
    /// OLMo 2: norms over each branch's output alone, and over whole queries and keys.
    static let olmo2 = ModelFamily(
        huggingFaceNames: ["olmo2"], className: "Olmo2ForCausalLM", ggufName: "olmo2", names: .olmo2,
        keys: FolderKeys(epsilon: 1e-5),
        traits: {
            var traits = DecoderTraits()
            traits.hasBranchNorms = false
            traits.hasSandwichNorms = true
            traits.hasQueryKeyNorms = true
            traits.normsWholeQueries = true
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readAttentionBias(&configuration)
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
        })
}

extension TensorNames {
    fileprivate static let olmo2 = TensorNames.llama.replacing(
        [
            (.postAttentionNorm, "post_attention_layernorm.weight", "post_attention_norm.weight"),
            (.postFeedForwardNorm, "post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
        ], without: [.attentionNorm, .feedForwardNorm])
}
