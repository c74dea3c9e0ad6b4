import WinnowModels

/// Which of the prunable layers a method works on, by name. Layers that it leaves still count in every report.
///
/// A pattern is `Linear` (all of them), `re:` and a regular expression that matches from the start of a layer's name,
/// or the last words of the name: `down_proj`, `layers.0.mlp.gate_proj`.
///
/// - Source: the targets of vLLM's llm-compressor; the last words of a name are an addition.
public struct LayerSelection: Sendable, Hashable {
    /// Empty: all.
    public var targets: [String]
    public var ignore: [String]

    public static let all = LayerSelection()

    public init(targets: [String] = [], ignore: [String] = []) {
        self.targets = targets
        self.ignore = ignore
    }

    /// The layers of a model that are worked on.
    ///
    /// - Throws: ``ConfigurationError`` for a pattern that is none, that matches nothing, or, among the targets, that
    ///   means an embedding, the head or a norm.
    public func layers(of model: LanguageModel) throws(ConfigurationError) -> PrunableLayers {
        let all = PrunableLayers(model)
        guard self != .all else { return all }
        let wanted = try targets.map { pattern throws(ConfigurationError) in
            try NamePattern(pattern, key: "targets")
        }
        let unwanted = try ignore.map { pattern throws(ConfigurationError) in
            try NamePattern(pattern, key: "ignore")
        }
        let prunable = Set(all.layers.map(\.name))
        for pattern in wanted where !all.layers.contains(where: { pattern.matches($0.name) }) {
            let other = model.parameters.first { !prunable.contains($0.name) && pattern.matches($0.name) }
            guard let other else { throw pattern.matchesNothing(example: all.layers.first?.name ?? "") }
            throw .notPrunable(pattern: pattern.text, name: other.name)
        }
        for pattern in unwanted where !model.parameters.contains(where: { pattern.matches($0.name) }) {
            // Recipes name the head to be safe; tied models have none.
            guard pattern.matches("lm_head.weight") else {
                throw pattern.matchesNothing(example: all.layers.first?.name ?? "")
            }
        }
        return PrunableLayers(
            layers: all.layers.filter { layer in
                (wanted.isEmpty || wanted.contains { $0.matches(layer.name) })
                    && !unwanted.contains { $0.matches(layer.name) }
            })
    }
}

/// One pattern of a ``LayerSelection``.
private struct NamePattern {
    let text: String
    private let key: String
    private let expression: Regex<AnyRegexOutput>?

    init(_ text: String, key: String) throws(ConfigurationError) {
        self.text = text
        self.key = key
        guard text.hasPrefix("re:") else {
            expression = nil
            return
        }
        do { expression = try Regex(String(text.dropFirst(3))) } catch {
            throw .badValue(key: key, value: text, expected: "a regular expression after re:")
        }
    }

    /// - Parameter name: a parameter's; patterns know it without `.weight` too.
    func matches(_ name: String) -> Bool {
        let module = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        if let expression { return module.prefixMatch(of: expression) != nil }
        // Asked of prunable layers first, and all of those are linears.
        if text == "Linear" { return true }
        return [module, name].contains { $0 == text || $0.hasSuffix("." + text) }
    }

    func matchesNothing(example: String) -> ConfigurationError {
        .badValue(key: key, value: "\"\(text)\"", expected: "what matches a layer, such as \(example)")
    }
}
