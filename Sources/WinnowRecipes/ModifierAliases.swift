import WinnowCompress
import WinnowJSON
import WinnowWeights

/// Reads recipes of vLLM's llm-compressor, as far as they say what Winnow does: its modifiers are our methods under
/// other names. What a key asks for that is not done here is an error, never left out in silence.
///
/// - Source: `llmcompressor/modifiers` of github.com/vllm-project/llm-compressor, its YAML of stages
///   (`NAME_stage: NAME_modifiers: MODIFIER: KEYS`).
struct ModifierAliases {
    private let registry: MethodRegistry

    init(_ registry: MethodRegistry) { self.registry = registry }

    /// Whether a text is such a recipe: stages, or modifiers without one.
    static func isRecipe(_ root: RecipeNode) -> Bool {
        guard let keys = try? root.keys(), !keys.isEmpty else { return false }
        return keys.allSatisfy {
            $0.hasSuffix("_stage") || $0.hasSuffix("_modifiers") || $0.hasSuffix("Modifier")
        }
    }

    func decode(_ root: RecipeNode) throws(RecipeError) -> Recipe {
        var recipe = Recipe()
        try append(root, to: &recipe)
        guard !recipe.phases.isEmpty else { throw root.error("there is no modifier that does anything") }
        return recipe
    }

    private func append(_ node: RecipeNode, to recipe: inout Recipe) throws(RecipeError) {
        for key in try node.keys() {
            guard let child = node[key] else { continue }
            if key.hasSuffix("Modifier") {
                if let phase = try phase(key, child) { recipe.phases.append(.compress(phase)) }
            } else if key.hasSuffix("_stage") || key.hasSuffix("_modifiers") {
                try append(child, to: &recipe)
            } else if key != "run_type" {
                throw child.error("expected a stage, modifiers, or a modifier")
            }
        }
    }

    private func phase(_ name: String, _ node: RecipeNode) throws(RecipeError) -> CompressionPhase? {
        switch name {
        case "SparseGPTModifier":
            return try pruning("sparsegpt", node, own: ["block_size", "dampening_frac"])
        case "WandaPruningModifier": return try pruning("wanda", node, own: [])
        case "MagnitudePruningModifier": return try pruning("magnitude", node, own: [])
        // Masks are always kept here.
        case "ConstantPruningModifier": return nil
        case "GPTQModifier":
            return try quantization("gptq", node, own: ["block_size", "dampening_frac", "actorder"])
        case "SmoothQuantModifier": return try smoothing(node)
        case "AWQModifier": return try quantization("awq", node, own: [])
        case "QuantizationModifier": return try quantization("rtn", node, own: [])
        default: throw node.error("\(name) is not done here")
        }
    }

    private func pruning(_ method: String, _ node: RecipeNode, own: [String]) throws(RecipeError)
        -> CompressionPhase
    {
        let profileKeys = ["sparsity_profile", "owl_m", "owl_lmbda"]
        let others = ["targets", "ignore", "mask_structure", "preserve_sparsity_mask", "sequential_update"]
        // A magnitude modifier prunes gradually from `init_sparsity`; in one shot its end is what counts.
        let amount = method == "magnitude" ? "final_sparsity" : "sparsity"
        try node.refuseOthers(than: [amount] + own + profileKeys + others)
        // What they ask for is how it is done here; what they would turn off cannot be.
        for key in ["preserve_sparsity_mask", "sequential_update"] {
            if let node = node[key], node.value != true { throw node.error("it is always true here") }
        }
        var settings = JSONObject()
        if let sparsity = node[amount] { settings["sparsity"] = sparsity.value }
        if let structure = node["mask_structure"] {
            let word: String = try structure.read()
            if !["0:0", "unstructured"].contains(word) {
                settings["pattern"] = .string(try keeping(word, structure))
                settings = JSONObject(
                    settings.pairs.filter { $0.key != "sparsity" }.map { ($0.key, $0.value) })
            }
        }
        rename(node, own, into: &settings)
        var phase = try made(method, settings, .pruning, node)
        if let profile = node["sparsity_profile"] {
            guard profile.value.string == "owl" else {
                throw profile.error("\(profile.value.text()) is not owl")
            }
            var (threshold, spread) = (5.0, 0.05)
            try node.read("owl_m", into: &threshold)
            try node.read("owl_lmbda", into: &spread)
            phase.allocation = .outliers(threshold: threshold, spread: spread)
        }
        return phase
    }

    /// `N:M` of llm-compressor prunes N of M, ours keeps N: 2:4 is both.
    private func keeping(_ word: String, _ node: RecipeNode) throws(RecipeError) -> String {
        let numbers = word.split(separator: ":").map { Int($0) }
        guard numbers.count == 2, let n = numbers[0], let m = numbers[1], n > 0, n < m else {
            throw node.error("\(word) is no N:M")
        }
        return "\(m - n):\(m)"
    }

    private func quantization(
        _ method: String, _ node: RecipeNode, own: [String]
    ) throws(RecipeError) -> CompressionPhase {
        try node.refuseOthers(than: ["scheme", "targets", "ignore"] + own)
        var settings = JSONObject()
        rename(node, own.filter { $0 != "actorder" }, into: &settings)
        if let order = node["actorder"] {
            // Groups keep their place in storage, as `static` and `weight` ask; `group` would move them.
            guard ["weight", "static"].contains(order.value.string) else {
                throw order.error("\(order.value.text()) is not done here: weight or static")
            }
            settings["act_order"] = true
        }
        var phase = try made(method, settings, .quantization, node)
        try RecipeDecoder(registry: registry).scheme(node, &phase)
        return phase
    }

    /// Scales alone, as llm-compressor has it: a modifier that follows rounds.
    private func smoothing(_ node: RecipeNode) throws(RecipeError) -> CompressionPhase {
        try node.refuseOthers(than: ["smoothing_strength", "targets", "ignore"])
        var settings = JSONObject([("round", false)])
        if let strength = node["smoothing_strength"] { settings["alpha"] = strength.value }
        return try made("smoothquant", settings, .quantization, node)
    }

    private func made(
        _ method: String, _ settings: JSONObject, _ purpose: MethodRegistry.Purpose, _ node: RecipeNode
    ) throws(RecipeError) -> CompressionPhase {
        let decoder = RecipeDecoder(registry: registry)
        var phase = try node.naming { CompressionPhase(try registry.entry(method).make(settings), purpose) }
        phase.selection = try decoder.selection(node)
        return phase
    }

    private func rename(_ node: RecipeNode, _ keys: [String], into settings: inout JSONObject) {
        for key in keys {
            guard let value = node[key]?.value else { continue }
            settings[key == "dampening_frac" ? "damping" : key] = value
        }
    }
}
