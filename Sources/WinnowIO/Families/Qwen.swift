import WinnowJSON

extension ModelFamily {
    /// Qwen 2 and 2.5: a Llama with biases on q, k and v.
    static let qwen2 = ModelFamily(
        huggingFaceNames: ["qwen2"], className: "Qwen2ForCausalLM", ggufName: "qwen2", names: .llama,
        keys: FolderKeys(context: 32_768),
        traits: {
            var traits = DecoderTraits()
            traits.hasQueryKeyValueBiases = true
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readQwenWindow(&configuration)
        },
        describe: describeQwenWindow)

    /// Qwen 3 (dense): RMS norms over the heads of q and k, heads of their own width, no biases.
    static let qwen3 = ModelFamily(
        huggingFaceNames: ["qwen3"], className: "Qwen3ForCausalLM", ggufName: "qwen3", names: .llama,
        keys: FolderKeys(headWidth: 128, context: 32_768),
        traits: {
            var traits = DecoderTraits()
            traits.hasQueryKeyNorms = true
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readAttentionBias(&configuration)
            try reader.readQwenWindow(&configuration)
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            describeQwenWindow(configuration, &config)
        })

    @Sendable static func describeQwenWindow(
        _ configuration: ModelConfiguration, _ config: inout JSONObject
    ) {
        let window = configuration.traits.slidingWindow
        config["use_sliding_window"] = .bool(window != nil)
        config["sliding_window"] = .window(window)
        config["layer_types"] = .layerTypes(configuration)
    }
}

extension FieldReader {
    /// The window of the later layers, where `use_sliding_window` asks for it.
    func readQwenWindow(_ configuration: inout ModelConfiguration) throws(CheckpointError) {
        guard try flag("use_sliding_window", absent: false) else { return }
        let first = try integer("max_window_layers", in: 0...1 << 16, absent: 28)
        try readSlidingWindow("sliding_window", absent: 4096, &configuration) { $0 >= first }
    }
}
