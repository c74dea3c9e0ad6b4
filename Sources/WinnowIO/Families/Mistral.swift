import WinnowJSON

extension ModelFamily {
    /// Mistral 7B and its kin: a Llama whose layers may all see only a window.
    ///
    /// Their GGUF files say `llama`.
    static let mistral = ModelFamily(
        huggingFaceNames: ["mistral"], className: "MistralForCausalLM", ggufName: "llama", names: .llama,
        ggufRotary: .interleaved, keys: FolderKeys(context: 131_072),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readSlidingWindow("sliding_window", absent: 4096, &configuration) { _ in true }
        },
        describe: { configuration, config in
            config["sliding_window"] = .window(configuration.traits.slidingWindow)
        })
}

extension JSONValue {
    /// A window, or null for none.
    static func window(_ tokens: Int?) -> JSONValue { tokens.map { .integer(Int64($0)) } ?? .null }

    /// `layer_types`: for each layer whether it slides.
    static func layerTypes(_ configuration: ModelConfiguration) -> JSONValue {
        .array(
            (0..<configuration.layers).map {
                configuration.traits.window(ofLayer: $0) == nil ? "full_attention" : "sliding_attention"
            })
    }
}
