import WinnowJSON

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension FieldReader {
    /// The rotary settings of `config.json`, in the newer style (`rope_parameters`) or the older one
    /// (`rope_theta`, `rope_scaling`).
    ///
    /// - Parameter layerType: the entry of a `rope_parameters` that has one for each kind of layer.
    package func rope(
        base absentBase: Double, share absentShare: Double = 1, headWidth: Int, context: Int,
        layerType: String = "full_attention"
    ) throws(CheckpointError) -> RopeSettings {
        var place = "rope_scaling"
        if let parameters = fields["rope_parameters"], !parameters.isNull {
            place =
                parameters[layerType].map { $0.isNull } == false
                ? "rope_parameters.\(layerType)" : "rope_parameters"
            // Files in both styles at once keep the older one too: a scaling there counts when the newer has none.
            let kind = parameters["rope_type"]?.string ?? "default"
            if kind == "default", place == "rope_parameters", let older = fields["rope_scaling"],
                !older.isNull
            {
                place = "rope_scaling"
            }
        }
        let parts = place.split(separator: ".").map(String.init)
        let value = parts.count == 2 ? fields[parts[0]]?[parts[1]] : fields[place]
        let own: FieldReader
        switch value {
        case .object(let object)?: own = FieldReader(fields: object, file: "\(file) (\(place))")
        case nil, .null?: own = FieldReader(fields: JSONObject(), file: file)
        default: throw wrong(place, "an object")
        }
        let nested =
            fields["rope_parameters"]?["rope_theta"] != nil ? "rope_parameters.rope_theta" : "rope_theta"
        let outer = try number(nested, in: 1...1e12, absent: absentBase)
        let base = try own.number("rope_theta", in: 1...1e12, absent: outer)
        let key = ["partial_rotary_factor", "rotary_pct"].first(where: has) ?? "partial_rotary_factor"
        let share = try own.number(
            "partial_rotary_factor", in: 0...1, absent: try number(key, in: 0...1, absent: absentShare))
        let width = RopeSettings(base: base, share: share).width(ofHead: headWidth)
        guard width >= 2, width.isMultiple(of: 2) else {
            throw wrong(key, "a share of the head's \(headWidth) columns that is an even number of them")
        }
        return RopeSettings(
            base: base, scaling: try own.scaling(outer: self, headWidth: width, context: context), share: share)
    }

    private func scaling(
        outer: FieldReader, headWidth: Int, context: Int
    ) throws(CheckpointError) -> RopeScaling {
        let kind = fields["rope_type"]?.string ?? fields["type"]?.string ?? "default"
        func original(required: Bool) throws(CheckpointError) -> Int {
            let key = "original_max_position_embeddings"
            if !has(key), outer.has(key) { return try outer.integer(key, in: 1...1 << 30) }
            return try integer(key, in: 1...1 << 30, absent: required ? nil : context)
        }
        func required(_ key: String) throws(CheckpointError) -> Double {
            guard has(key) else { throw wrong(key, "a number for rope scaling '\(kind)'") }
            return try number(key, in: 1e-6...1e6, absent: 1)
        }
        switch kind {
        // Dynamic scaling begins where the model's own context ends, and no sequence grows past that here.
        case "default", "dynamic": return .none
        case "linear":
            let factor = try number("factor", in: 1e-6...1e6, absent: 1)
            return factor == 1 ? .none : .linear(factor: factor)
        case "llama3":
            return .llama3(
                factor: try required("factor"), lowFrequencyFactor: try required("low_freq_factor"),
                highFrequencyFactor: try required("high_freq_factor"),
                originalContext: try original(required: false))
        case "yarn":
            let originalContext = try original(required: false)
            let factor =
                has("factor") ? try required("factor") : Double(context) / Double(originalContext)
            var attention = RopeScaling.yarnAttentionFactor(factor)
            if has("attention_factor") {
                attention = try required("attention_factor")
            } else if has("mscale"), has("mscale_all_dim") {
                attention =
                    RopeScaling.yarnAttentionFactor(factor, try required("mscale"))
                    / RopeScaling.yarnAttentionFactor(factor, try required("mscale_all_dim"))
            }
            return .yarn(
                factor: factor, betaFast: try number("beta_fast", in: 1e-6...1e6, absent: 32),
                betaSlow: try number("beta_slow", in: 1e-6...1e6, absent: 1),
                originalContext: originalContext,
                attentionFactor: attention, truncates: try flag("truncate", absent: true))
        case "longrope", "su":
            let originalContext = try original(required: true)
            let factor =
                has("factor") ? try required("factor") : Double(context) / Double(originalContext)
            let attention =
                has("attention_factor")
                ? try required("attention_factor")
                : RopeScaling.longropeAttentionFactor(factor, originalContext: originalContext)
            return .longrope(
                short: try factors("short_factor", count: headWidth / 2),
                long: try factors("long_factor", count: headWidth / 2), originalContext: originalContext,
                attentionFactor: attention)
        default:
            throw .unsupported(
                file: file, feature: "rope scaling '\(kind)'",
                advice: "use a model with linear, dynamic, llama3, yarn, longrope or no scaling")
        }
    }

    private func factors(_ key: String, count: Int) throws(CheckpointError) -> [Float] {
        guard let values = fields[key]?.array?.map({ $0.number }), values.count == count,
            values.allSatisfy({ ($0 ?? 0) > 0 })
        else { throw wrong(key, "\(count) positive numbers, one for each pair of a head") }
        return values.map { Float($0 ?? 1) }
    }
}

extension RopeScaling {
    static func yarnAttentionFactor(_ factor: Double, _ scale: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1
    }

    static func longropeAttentionFactor(_ factor: Double, originalContext: Int) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalContext))).squareRoot()
    }
}

extension RopeSettings {
    /// Of the scalings that have one.
    var originalContext: Int? {
        switch scaling {
        case .llama3(_, _, _, let context), .longrope(_, _, let context, _): context
        case .yarn(_, _, _, let context, _, _): context
        default: nil
        }
    }

    /// `rope_parameters` as transformers writes them.
    var json: JSONObject {
        var object = JSONObject([
            ("rope_theta", .number(base)), ("rope_type", .string(scaling.name ?? "default")),
        ])
        if share != 1 { object["partial_rotary_factor"] = .number(share) }
        switch scaling {
        case .none, .factors: break
        case .linear(let factor): object["factor"] = .number(factor)
        case .llama3(let factor, let low, let high, _):
            object["factor"] = .number(factor)
            object["low_freq_factor"] = .number(low)
            object["high_freq_factor"] = .number(high)
        case .yarn(let factor, let fast, let slow, _, let attention, let truncates):
            object["factor"] = .number(factor)
            object["beta_fast"] = .number(fast)
            object["beta_slow"] = .number(slow)
            object["attention_factor"] = .number(attention)
            object["truncate"] = .bool(truncates)
        case .longrope(let short, let long, _, let attention):
            object["short_factor"] = .array(short.map { .number(Double($0)) })
            object["long_factor"] = .array(long.map { .number(Double($0)) })
            object["attention_factor"] = .number(attention)
        }
        if let originalContext {
            object["original_max_position_embeddings"] = .integer(Int64(originalContext))
        }
        return object
    }
}
