import WinnowIO

extension Architecture {
    /// The plain Llama family: RMS norms, rotary positions, grouped queries, SiLU-gated feed-forward.
    package static let llama = Architecture(names: ["llama"]) { checkpoint in
        let configuration = checkpoint.configuration
        func matrix(_ name: String) throws -> Parameter {
            Parameter(name: name, value: .matrix(try checkpoint.matrix(name)))
        }
        func norm(_ name: String) throws -> RMSNorm {
            RMSNorm(
                weight: Parameter(name: name, value: .vector(try checkpoint.vector(name))),
                epsilon: configuration.normEpsilon)
        }
        let blocks = try (0..<configuration.layers).map { layer in
            let prefix = "model.layers.\(layer)"
            return TransformerBlock(
                attentionNorm: try norm("\(prefix).input_layernorm.weight"),
                attention: SelfAttention(
                    query: try matrix("\(prefix).self_attn.q_proj.weight"),
                    key: try matrix("\(prefix).self_attn.k_proj.weight"),
                    value: try matrix("\(prefix).self_attn.v_proj.weight"),
                    output: try matrix("\(prefix).self_attn.o_proj.weight")),
                feedForwardNorm: try norm("\(prefix).post_attention_layernorm.weight"),
                feedForward: GatedFeedForward(
                    gate: try matrix("\(prefix).mlp.gate_proj.weight"),
                    up: try matrix("\(prefix).mlp.up_proj.weight"),
                    down: try matrix("\(prefix).mlp.down_proj.weight")))
        }
        return LanguageModel.Parts(
            configuration: configuration,
            embedding: try matrix("model.embed_tokens.weight"),
            blocks: blocks,
            finalNorm: try norm("model.norm.weight"),
            head: configuration.tiesEmbeddings ? nil : try matrix("lm_head.weight"))
    }
}
