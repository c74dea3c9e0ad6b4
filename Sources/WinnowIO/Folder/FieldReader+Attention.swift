extension FieldReader {
    /// `attention_bias`: biases on q, k, v and on the output projection.
    func readAttentionBias(_ configuration: inout ModelConfiguration) throws(CheckpointError) {
        guard try flag("attention_bias", absent: false) else { return }
        configuration.traits.hasQueryKeyValueBiases = true
        configuration.traits.hasOutputBias = true
    }

    /// Throws for a flag that is set.
    func refuse(_ key: String, advice: String) throws(CheckpointError) {
        guard try flag(key, absent: false) else { return }
        throw .unsupported(file: file, feature: "'\(key)': true", advice: advice)
    }

    /// The window of the layers that slide: those that `layer_types` names, or where it is absent those of a rule.
    ///
    /// - Parameter absent: the window where there is no such key; nil: none. null is no window.
    func readSlidingWindow(
        _ key: String, absent: Int? = nil, _ configuration: inout ModelConfiguration, rule: (Int) -> Bool
    ) throws(CheckpointError) {
        var slides = (0..<configuration.layers).map(rule)
        if has("layer_types") {
            let types = fields["layer_types"]?.array?.map(\.string) ?? []
            let known = ["full_attention", "sliding_attention"]
            guard types.count == slides.count, types.allSatisfy({ known.contains($0 ?? "") }) else {
                throw wrong("layer_types", "'full_attention' or 'sliding_attention' for each of the layers")
            }
            slides = types.map { $0 == "sliding_attention" }
        }
        guard slides.contains(true) else { return }
        if has(key) || absent != nil && fields[key] == nil {
            configuration.traits.slidingWindow = try integer(key, in: 1...1 << 30, absent: absent)
            configuration.traits.slidingLayers = slides
        }
    }
}
