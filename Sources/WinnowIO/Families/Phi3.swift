import WinnowJSON

extension ModelFamily {
    /// Phi-3: a Llama whose q, k and v are one matrix, and gate and up another.
    static let phi3 = ModelFamily(
        huggingFaceNames: ["phi3"], className: "Phi3ForCausalLM", ggufName: "phi3", names: .llama,
        keys: FolderKeys(epsilon: 1e-5, context: 4096),
        traits: {
            var traits = DecoderTraits()
            traits.fusesQueryKeyValue = true
            traits.fusesGateUp = true
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readSlidingWindow("sliding_window", &configuration) { _ in true }
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            try reader.readSlidingWindow(&configuration) { _ in true }
        },
        describe: { configuration, config in
            config["sliding_window"] = .window(configuration.traits.slidingWindow)
            if let original = configuration.rope.originalContext {
                config["original_max_position_embeddings"] = .integer(Int64(original))
            }
        })
}
