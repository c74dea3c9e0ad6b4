/// An optimizer in a recipe: a `kind` and its settings, under their defaults.
///
/// ```yaml
/// optimizer: { kind: adamw, beta2: 0.95, weight_decay: 0.1, state: compressed, clip_norm: 1.0 }
/// ```
public struct OptimizerConfiguration: Sendable, Equatable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case adamw, sgd, lion, adafactor, sm3
    }

    public var kind = Kind.adamw
    /// Nil is the kind's own default.
    public var beta1: Double?
    public var beta2: Double?
    public var epsilon: Double?
    public var momentum: Double?
    public var weightDecay: Double?
    public var nesterov = false
    /// Adafactor: whether the rate is a share of the parameter's size.
    public var scaleParameter = true
    /// Adafactor: whether the rate is min(1e-2, 1 / sqrt(step)).
    public var relativeStep = false
    public var state = StateLayout.dense
    /// The largest length of all gradients together; nil clips nothing.
    public var clipNorm: Double?
    /// Parameters without weight decay, by name, `*` for any run of characters. Norms and biases never decay.
    public var noDecay: [String] = []

    public init(_ kind: Kind = .adamw) { self.kind = kind }

    /// The optimizer that the settings describe.
    public func makeOptimizer() -> any ParameterOptimizer {
        switch kind {
        case .adamw:
            return AdamW(
                AdamRule(
                    beta1: beta1 ?? 0.9, beta2: beta2 ?? 0.999, epsilon: epsilon ?? 1e-8,
                    weightDecay: weightDecay ?? 0.01))
        case .sgd:
            return SGD(SGDRule(momentum: momentum ?? 0.9, nesterov: nesterov, weightDecay: weightDecay ?? 0))
        case .lion:
            return Lion(LionRule(beta1: beta1 ?? 0.9, beta2: beta2 ?? 0.99, weightDecay: weightDecay ?? 0))
        case .adafactor:
            var optimizer = Adafactor()
            optimizer.weightDecay = weightDecay ?? 0
            optimizer.scalesByParameter = scaleParameter
            optimizer.relativeStep = relativeStep
            return optimizer
        case .sm3:
            return SM3(momentum: momentum ?? 0, epsilon: epsilon ?? 0, weightDecay: weightDecay ?? 0)
        }
    }
}

extension OptimizerConfiguration: Codable {
    /// The keys each kind knows, beside those of all.
    static func keys(of kind: Kind) -> [String] {
        let own: [String]
        switch kind {
        case .adamw: own = ["beta1", "beta2", "epsilon", "state"]
        case .sgd: own = ["momentum", "nesterov", "state"]
        case .lion: own = ["beta1", "beta2", "state"]
        case .adafactor: own = ["scale_parameter", "relative_step"]
        case .sm3: own = ["momentum", "epsilon"]
        }
        return ["kind", "weight_decay", "clip_norm", "no_decay"] + own
    }

    public init(from decoder: any Decoder) throws {
        self.init()
        if let name = try? decoder.singleValueContainer().decode(String.self) {
            kind = try Self.kind(name)
            return
        }
        let keys = try decoder.container(keyedBy: RecipeKey.self)
        kind = try Self.kind(keys.decodeIfPresent(String.self, forKey: "kind") ?? kind.rawValue)
        let known = Self.keys(of: kind)
        for key in keys.allKeys where !known.contains(key.stringValue) {
            throw OptimizerError.unknownKey(key: key.stringValue, known: known)
        }
        func number(_ key: RecipeKey, _ expected: String, _ isRight: (Double) -> Bool) throws -> Double? {
            guard let value = try keys.decodeIfPresent(Double.self, forKey: key) else { return nil }
            guard value.isFinite, isRight(value) else {
                throw OptimizerError.badValue(key: key.stringValue, value: "\(value)", expected: expected)
            }
            return value
        }
        func share(_ key: RecipeKey) throws -> Double? {
            try number(key, "0 to less than 1") { $0 >= 0 && $0 < 1 }
        }
        beta1 = try share("beta1")
        beta2 = try share("beta2")
        momentum = try share("momentum")
        epsilon = try number("epsilon", "0 or more") { $0 >= 0 }
        weightDecay = try number("weight_decay", "0 or more") { $0 >= 0 }
        clipNorm = try number("clip_norm", "more than 0") { $0 > 0 }
        nesterov = try keys.decodeIfPresent(Bool.self, forKey: "nesterov") ?? nesterov
        scaleParameter = try keys.decodeIfPresent(Bool.self, forKey: "scale_parameter") ?? scaleParameter
        relativeStep = try keys.decodeIfPresent(Bool.self, forKey: "relative_step") ?? relativeStep
        noDecay = try keys.decodeIfPresent([String].self, forKey: "no_decay") ?? noDecay
        if let name = try keys.decodeIfPresent(String.self, forKey: "state") {
            guard let layout = StateLayout(rawValue: name) else {
                throw OptimizerError.badValue(key: "state", value: name, expected: "dense or compressed")
            }
            state = layout
        }
    }

    private static func kind(_ name: String) throws(OptimizerError) -> Kind {
        guard let kind = Kind(rawValue: name) else {
            throw .badValue(
                key: "kind", value: name,
                expected: "one of " + Kind.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return kind
    }

    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: RecipeKey.self)
        let known = Self.keys(of: kind)
        try keys.encode(kind.rawValue, forKey: "kind")
        try keys.encodeIfPresent(weightDecay, forKey: "weight_decay")
        try keys.encodeIfPresent(clipNorm, forKey: "clip_norm")
        if !noDecay.isEmpty { try keys.encode(noDecay, forKey: "no_decay") }
        for (key, value) in [
            ("beta1", beta1), ("beta2", beta2), ("epsilon", epsilon), ("momentum", momentum),
        ]
        where known.contains(key) {
            try keys.encodeIfPresent(value, forKey: RecipeKey(stringValue: key))
        }
        if known.contains("nesterov") { try keys.encode(nesterov, forKey: "nesterov") }
        if known.contains("state") { try keys.encode(state.rawValue, forKey: "state") }
        if known.contains("scale_parameter") {
            try keys.encode(scaleParameter, forKey: "scale_parameter")
            try keys.encode(relativeStep, forKey: "relative_step")
        }
    }
}
