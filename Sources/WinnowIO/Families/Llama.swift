import WinnowJSON

extension ModelFamily {
    /// Llama 1 to 3: RMS norms, rotary positions, grouped queries, a SiLU gate.
    ///
    /// GGUF files of Mistral say `llama` too; with a window the model is one.
    static let llama = ModelFamily(
        huggingFaceNames: ["llama"], className: "LlamaForCausalLM", ggufName: "llama", names: .llama,
        ggufRotary: .interleaved,
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readAttentionBias(&configuration)
            try reader.refuse("mlp_bias", advice: "use a model without biases in its feed-forward layers")
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            try reader.readSlidingWindow(&configuration) { _ in true }
            if configuration.traits.slidingWindow != nil { configuration.architecture = "mistral" }
            let names = Set(reader.file.tensors.map(\.name))
            if reader.file["llama.expert_count"]?.integer ?? 0 > 0 {
                configuration.architecture = "mixtral"
                try reader.readExperts(
                    &configuration, width: configuration.feedForwardWidth, renormalises: true)
            }
            configuration.traits.hasQueryKeyValueBiases = names.contains("blk.0.attn_q.bias")
            configuration.traits.hasOutputBias = names.contains("blk.0.attn_output.bias")
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            config["mlp_bias"] = false
            config["pretraining_tp"] = 1
        })
}
