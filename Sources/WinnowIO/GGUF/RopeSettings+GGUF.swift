extension MetadataReader {
    /// The rotary settings of an architecture's keys, and of the tensors of divisors beside them.
    func rope(
        _ name: String, base absentBase: Double, headWidth: Int, context: Int
    ) throws(GGUFError) -> RopeSettings {
        let base = try number("\(name).rope.freq_base", in: 1...1e12, absent: absentBase)
        if let divisors = try divisors("rope_freqs.weight", count: headWidth / 2) {
            return RopeSettings(base: base, scaling: .named(divisors, base: base, headWidth: headWidth))
        }
        let original = try integer(
            "\(name).rope.scaling.original_context_length", in: 1...1 << 30, absent: context)
        let attention = try number("\(name).rope.scaling.attn_factor", in: 1e-6...1e6, absent: 1)
        if let long = try divisors("rope_factors_long.weight", count: headWidth / 2),
            let short = try divisors("rope_factors_short.weight", count: headWidth / 2)
        {
            return RopeSettings(
                base: base,
                scaling: .longrope(
                    short: short, long: long, originalContext: original, attentionFactor: attention))
        }
        // Converters write 0 or 1 for none; the older key means a linear factor.
        let older = try number("\(name).rope.scale_linear", in: 0...1e6, absent: 1)
        var factor = try number("\(name).rope.scaling.factor", in: 0...1e6, absent: older)
        if factor == 0 { factor = 1 }
        let kind = file["\(name).rope.scaling.type"]?.string ?? "linear"
        switch kind {
        case "none": return RopeSettings(base: base)
        case "linear": return RopeSettings(base: base, scaling: factor == 1 ? .none : .linear(factor: factor))
        case "yarn":
            return RopeSettings(
                base: base,
                scaling: .yarn(
                    factor: factor,
                    betaFast: try number("\(name).rope.scaling.yarn_beta_fast", in: 1e-6...1e6, absent: 32),
                    betaSlow: try number("\(name).rope.scaling.yarn_beta_slow", in: 1e-6...1e6, absent: 1),
                    originalContext: original,
                    attentionFactor: attention * RopeScaling.yarnAttentionFactor(factor), truncates: true))
        default:
            throw .unsupported(
                file: file.path, feature: "rope scaling (\(name).rope.scaling.type = '\(kind)')",
                advice: "use a model with linear, yarn or no scaling")
        }
    }

    /// A tensor of rotary divisors; nil when the file has none of the name.
    private func divisors(_ name: String, count: Int) throws(GGUFError) -> [Float]? {
        guard let tensor = file.tensors.first(where: { $0.name == name }) else { return nil }
        guard tensor.type.format == .f32, tensor.shape == [count] else {
            throw .wrongValue(
                file: file.path, key: name, found: "\(tensor.type.name) \(tensor.shape)",
                expected: "F32 [\(count)]")
        }
        let values = (0..<count).map {
            tensor.bytes.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self)
        }
        guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw .wrongValue(file: file.path, key: name, found: "other values", expected: "positive numbers")
        }
        return values
    }

    /// The window of the layers that slide by `rule`.
    ///
    /// - Parameter absent: the window where the file names none; nil: no layer slides.
    func readSlidingWindow(
        absent: Int? = nil, _ configuration: inout ModelConfiguration, rule: (Int) -> Bool
    ) throws(GGUFError) {
        let key = "\(configuration.architecture).attention.sliding_window"
        guard file[key] != nil || absent != nil else { return }
        // Some converters write 0 for none.
        let window = try integer(key, in: 0...1 << 32, absent: absent)
        guard window > 0 else { return }
        configuration.traits.slidingWindow = window
        configuration.traits.slidingLayers = (0..<configuration.layers).map(rule)
    }
}

extension RopeScaling {
    /// The tensors of divisors that GGUF files hold; empty where the metadata say it all.
    static let divisorTensors = [
        "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
    ]

    /// Divisors under the name of the published scaling that they are: what folders can say.
    static func named(_ divisors: [Float], base: Double, headWidth: Int) -> RopeScaling {
        for factor in [8.0, 32.0] {
            let known = RopeScaling.llama3(
                factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 8192)
            let own = RopeSettings(base: base, scaling: known).divisors(headWidth: headWidth)
            if zip(own, divisors).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) { return known }
        }
        return .factors(divisors)
    }
}

extension RopeSettings {
    /// What each plain frequency is divided by.
    func divisors(headWidth: Int) -> [Float] {
        let plain = RopeSettings(base: base).frequencies(headWidth: headWidth, capacity: 1).values
        return zip(plain, frequencies(headWidth: headWidth, capacity: 1).values).map { $0 / $1 }
    }

    /// The tensors of divisors that a GGUF file needs.
    func ggufTensors(headWidth: Int) -> [(name: String, values: [Float])] {
        switch scaling {
        case .llama3: [("rope_freqs.weight", divisors(headWidth: headWidth))]
        case .factors(let values): [("rope_freqs.weight", values)]
        case .longrope(let short, let long, _, _):
            [("rope_factors_long.weight", long), ("rope_factors_short.weight", short)]
        default: []
        }
    }
}
