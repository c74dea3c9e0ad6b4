import WinnowCompress
import WinnowData
import WinnowJSON
import WinnowModels
import WinnowTrain
import WinnowWeights
import WinnowYAML

/// Reads recipes: YAML or JSON, every key known, every default written out by ``Recipe/json``.
///
/// A phase begins with its verb: `prune: METHOD`, `quantize: METHOD`, `drop: STRUCTURE` or `finetune: TEXT`; its other keys are the
/// method's, or the training's, own. A recipe of vLLM's llm-compressor is read too (``ModifierAliases``).
public struct RecipeDecoder: Sendable {
    /// Methods that phases may name.
    public var registry: MethodRegistry

    public init(registry: MethodRegistry = .standard) { self.registry = registry }

    /// - Parameter file: named in errors.
    /// - Throws: `YAMLError` for a text that is no YAML, ``RecipeError`` for keys and values that make no sense.
    public func decode(_ bytes: [UInt8], file: String) throws -> Recipe {
        try decode(YAMLDocument(parsing: bytes, file: file))
    }

    public func decode(_ document: YAMLDocument) throws(RecipeError) -> Recipe {
        var root = RecipeNode(document)
        // A written model's `winnow.json` holds the recipe that made it.
        if root["winnow"] != nil, let inner = root["recipe"] { root = inner }
        if ModifierAliases.isRecipe(root) { return try ModifierAliases(registry).decode(root) }
        try root.refuseOthers(than: ["seed", "calibration", "evaluation", "phases"])
        var recipe = Recipe()
        if let node = root["seed"] {
            let seed: Int = try node.read()
            guard seed >= 0 else { throw node.error("\(seed) is negative") }
            recipe.seed = UInt64(seed)
        }
        if let node = root["calibration"] { recipe.calibration = try calibration(node) }
        if let node = root["evaluation"] { recipe.evaluation = try evaluation(node) }
        guard let phases = root["phases"] else { throw root.error("there is no list of phases") }
        recipe.phases = try phases.elements().map { node throws(RecipeError) in try phase(node) }
        guard !recipe.phases.isEmpty else { throw phases.error("there is no phase") }
        return recipe
    }

    private func calibration(_ node: RecipeNode) throws(RecipeError) -> Recipe.Calibration {
        try node.refuseOthers(than: ["text", "samples", "length", "activations"])
        var calibration = Recipe.Calibration()
        calibration.text = try node["text"].map { node throws(RecipeError) in try node.read() }
        try node.readCount("samples", into: &calibration.samples)
        try node.readCount("length", into: &calibration.length)
        if let mode = node["activations"] {
            let word: String = try mode.read()
            guard let known = ActivationMode(rawValue: word) else {
                let names = ActivationMode.allCases.map(\.rawValue)
                throw mode.error("\(word) is not \(names.joined(separator: ", "))")
            }
            calibration.activations = known
        }
        return calibration
    }

    private func evaluation(_ node: RecipeNode) throws(RecipeError) -> Recipe.Evaluation {
        try node.refuseOthers(than: ["text", "window", "max_windows"])
        var evaluation = Recipe.Evaluation()
        evaluation.text = try node["text"].map { node throws(RecipeError) in try node.read() }
        try node.readCount("window", least: 2, into: &evaluation.window)
        if let windows = node["max_windows"] {
            var count = 0
            try node.readCount("max_windows", into: &count)
            guard count > 0 else { throw windows.error("expected 1 or more") }
            evaluation.maxWindows = count
        }
        return evaluation
    }

    private func phase(_ node: RecipeNode) throws(RecipeError) -> Recipe.Phase {
        let verbs = ["prune", "quantize", "drop", "finetune"].filter { node.value[$0] != nil }
        _ = try node.keys()
        guard verbs.count == 1, let verb = verbs.first, let subject = node[verb] else {
            throw node.error(
                "a phase begins with one of prune: METHOD, quantize: METHOD, drop: STRUCTURE, finetune: TEXT")
        }
        switch verb {
        case "prune": return .compress(try compression(node, subject, .pruning))
        case "quantize": return .compress(try compression(node, subject, .quantization))
        case "drop": return .drop(try drop(node, subject))
        default: return .finetune(try finetune(node, subject))
        }
    }

    // MARK: Compression

    private static let pruningKeys = [
        "allocation", "owl_threshold", "owl_spread", "profile", "store", "group",
    ]
    private static let quantizingKeys = ["scheme", "group"]
    private static let selectionKeys = ["targets", "ignore"]

    private func compression(
        _ node: RecipeNode, _ subject: RecipeNode, _ purpose: MethodRegistry.Purpose
    ) throws(RecipeError) -> CompressionPhase {
        let own = purpose == .pruning ? Self.pruningKeys : Self.quantizingKeys
        let verb = purpose == .pruning ? "prune" : "quantize"
        let settings = node.object(without: own + Self.selectionKeys + [verb])
        var phase = try method(subject, settings, purpose, node, others: own + Self.selectionKeys)
        if purpose == .pruning {
            phase.allocation = try allocation(node)
            phase.profile = try profile(node)
            phase.store = try form(node)
        } else {
            try scheme(node, &phase)
        }
        phase.selection = try selection(node)
        return phase
    }

    /// - Parameter settings: keys of the method's configuration.
    func method(
        _ subject: RecipeNode, _ settings: JSONObject, _ purpose: MethodRegistry.Purpose, _ node: RecipeNode,
        others: [String]
    ) throws(RecipeError) -> CompressionPhase {
        let name: String = try subject.read()
        let known = registry.names(purpose)
        guard known.contains(name) else {
            throw subject.error("there is no method '\(name)'; there are \(known.joined(separator: ", "))")
        }
        do {
            return CompressionPhase(try registry.entry(name).make(settings), purpose)
        } catch ConfigurationError.unknownKey(let key, let keys) {
            throw (node[key] ?? node).error(
                "there is no such key; there are \((keys + others).joined(separator: ", "))")
        } catch ConfigurationError.badValue(let key, let value, let expected) {
            throw (node[key] ?? node).error("\(value) is not \(expected)")
        } catch { throw node.error("\(error)") }
    }

    func selection(_ node: RecipeNode) throws(RecipeError) -> LayerSelection {
        LayerSelection(
            targets: try node["targets"].map { node throws(RecipeError) in try node.strings() } ?? [],
            ignore: try node["ignore"].map { node throws(RecipeError) in try node.strings() } ?? [])
    }

    private func allocation(_ node: RecipeNode) throws(RecipeError) -> SparsityAllocation {
        var (threshold, spread) = (5.0, 0.08)
        try node.read("owl_threshold", into: &threshold)
        try node.read("owl_spread", into: &spread)
        let word: String =
            try node["allocation"].map { node throws(RecipeError) in try node.read() } ?? "uniform"
        for key in ["owl_threshold", "owl_spread"] where word != "owl" && node[key] != nil {
            throw node[key]!.error("only allocation: owl has it")
        }
        guard threshold > 0, spread >= 0, spread < 0.5 else {
            throw node.error("owl_threshold is over 0, owl_spread from 0 up to, not including, 0.5")
        }
        switch word {
        // A profile is read when the recipe is followed.
        case "uniform", "profile": return .uniform
        case "erk": return .erdosRenyi
        case "owl": return .outliers(threshold: threshold, spread: spread)
        default: throw (node["allocation"] ?? node).error("\(word) is not uniform, erk, owl or profile")
        }
    }

    private func profile(_ node: RecipeNode) throws(RecipeError) -> String? {
        let isAsked = node["allocation"]?.value.string == "profile"
        guard let profile = node["profile"] else {
            if isAsked { throw node.error("allocation: profile needs profile: MODEL") }
            return nil
        }
        guard isAsked else { throw profile.error("only allocation: profile has it") }
        return try profile.read()
    }

    private func group(_ node: RecipeNode, default standard: Int) throws(RecipeError) -> Int {
        var group = standard
        try node.read("group", into: &group)
        guard [32, 64, 128].contains(group) else {
            throw (node["group"] ?? node).error("\(group) is not 32, 64 or 128")
        }
        return group
    }

    func form(_ node: RecipeNode) throws(RecipeError) -> StoredForm {
        let group = try group(node, default: 32)
        let word: String = try node["store"].map { node throws(RecipeError) in try node.read() } ?? "source"
        guard let form = StoredForm(word, group: group) else {
            throw (node["store"] ?? node).error("\(word) is not \(StoredForm.names.joined(separator: ", "))")
        }
        return form
    }

    func scheme(_ node: RecipeNode, _ phase: inout CompressionPhase) throws(RecipeError) {
        if phase.method.leavesFloats {
            for key in ["scheme", "group"] where node[key] != nil {
                throw node[key]!.error("nothing is rounded with round: false")
            }
            return
        }
        guard let scheme = node["scheme"] else { throw node.error("quantize needs a scheme, such as W4A16") }
        let name: String = try scheme.read()
        guard let known = QuantizationScheme.named(name) else {
            let names = QuantizationScheme.all.map(\.name).joined(separator: ", ")
            throw scheme.error("\(name) is not \(names)")
        }
        phase.scheme = name
        phase.store = known.form(group: try group(node, default: 128), method: phase.methodName)
    }
}

extension RecipeNode {
    func readCount(_ key: String, least: Int = 1, into value: inout Int) throws(RecipeError) {
        try read(key, into: &value)
        guard value >= least else { throw (self[key] ?? self).error("\(value) is not \(least) or more") }
    }
}
