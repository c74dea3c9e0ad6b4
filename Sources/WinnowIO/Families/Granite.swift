import WinnowJSON

extension ModelFamily {
    /// Granite 3: a Llama with factors on embeddings, scores, branches and logits.
    static let granite = ModelFamily(
        huggingFaceNames: ["granite"], className: "GraniteForCausalLM", ggufName: nil, names: .llama,
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readAttentionBias(&configuration)
            try reader.refuse("mlp_bias", advice: "use a model without biases in its feed-forward layers")
            func factor(_ key: String) throws(CheckpointError) -> Float {
                Float(try reader.number(key, in: 1e-6...1e6, absent: 1))
            }
            configuration.traits.embeddingScale = try factor("embedding_multiplier")
            configuration.traits.attentionScale = try factor("attention_multiplier")
            configuration.traits.residualScale = try factor("residual_multiplier")
            configuration.traits.logitScale = 1 / (try factor("logits_scaling"))
        },
        describe: { configuration, config in
            let traits = configuration.traits
            config["attention_bias"] = .bool(traits.hasQueryKeyValueBiases)
            config["embedding_multiplier"] = .number(Double(traits.embeddingScale))
            config["attention_multiplier"] = .number(Double(traits.attentionScale ?? 1))
            config["residual_multiplier"] = .number(Double(traits.residualScale))
            config["logits_scaling"] = .number(Double(1 / traits.logitScale))
        })
}
