import WinnowCompress
import WinnowModels

/// Recipes that a ``Recommender`` tries.
public struct RecommendationSpace: Sendable {
    public struct Candidate: Sendable {
        public let name: String
        public let recipe: Recipe

        public init(_ name: String, _ recipe: Recipe) {
            self.name = name
            self.recipe = recipe
        }
    }

    public var candidates: [Candidate]

    public init(_ candidates: [Candidate]) { self.candidates = candidates }

    /// One or two phases each, by the best method that there is for them; nothing is trained.
    public static let standard = RecommendationSpace([
        "{quantize: rtn, scheme: W8A16}",
        "{quantize: gptq, scheme: W4A16, group: 32}",
        "{quantize: gptq, scheme: W4A16, group: 128}",
        "{quantize: awq, scheme: W4A16, group: 128}",
        "{prune: sparsegpt, sparsity: 0.3}",
        "{prune: sparsegpt, sparsity: 0.5}",
        "{prune: sparsegpt, sparsity: 0.5, store: int8}",
        "{prune: sparsegpt, sparsity: 0.3, store: int4, group: 128}",
        "{prune: sparsegpt, sparsity: 0.5, store: int4, group: 128}",
        "{prune: sparsegpt, pattern: 2:4, store: int4, group: 128}",
        "{prune: sparsegpt, sparsity: 0.7, store: int4, group: 128}",
    ])

    /// - Parameter phases: one for each candidate, in YAML.
    private init(_ phases: [String]) {
        candidates = phases.map { text in
            guard
                let recipe = try? RecipeDecoder().decode(Array("phases: [\(text)]".utf8), file: "the space")
            else { preconditionFailure("\(text) is no phase") }
            return Candidate(recipe.phases.map(\.briefly).joined(separator: ", then "), recipe)
        }
    }
}

extension Recipe.Phase {
    /// `sparsegpt 0.5 by row, int4 of 128`.
    var briefly: String {
        guard case .compress(let phase) = self else { return summary }
        let group = phase.store.groupColumns.map { " of \($0)" } ?? ""
        if let scheme = phase.scheme { return "\(phase.methodName) \(scheme)\(group)" }
        let store = phase.store == .source ? "" : ", \(phase.store.word)\(group)"
        return "\(phase.methodName) \(phase.method.goal.summary)\(store)"
    }
}

extension RecipeRun {
    /// Bytes of all weights after the last phase, within the rounding of rows, found without running any; training
    /// that keeps float32 is taken to keep the form it had.
    public func predictedBytes() throws -> Int {
        let all = PrunableLayers(loaded.model)
        var kept: [String: Double] = [:]
        var bytes: [String: Int] = [:]
        for case .compress(let phase) in recipe.phases {
            for layer in try phase.selection.layers(of: loaded.model).layers {
                let share = min(kept[layer.name] ?? 1, 1 - phase.method.goal.sparsity)
                kept[layer.name] = share
                bytes[layer.name] = phase.store.byteCount(of: layer.parameter.matrix, keeping: share)
            }
        }
        let own = all.layers.reduce(0) { $0 + (bytes[$1.name] ?? $1.parameter.matrix.byteCount) }
        return loaded.model.byteCount - all.byteCount + own
    }
}
