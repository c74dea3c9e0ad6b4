import WinnowJSON
import WinnowWeights

/// How a model's sparsity is shared out among its layers. The model as a whole keeps its share of zeros.
///
/// A selection over the whole model (``SelectionScope/global``) needs none: it shares out by itself.
public enum SparsityAllocation: Sendable, Equatable {
    /// The same for every layer.
    case uniform
    /// Density of a layer in proportion to (rows + columns) / (rows * columns); layers that would be more than dense
    /// are dense, and the others share the rest.
    ///
    /// - Source: ERK, arXiv 1911.11134, as arXiv 2306.03805 uses it for matrices.
    case erdosRenyi
    /// Blocks with more outliers, by Wanda's scores, keep more: densities spread over 2 * `spread`.
    ///
    /// - Source: OWL, arXiv 2310.05175.
    /// - Parameter threshold: how many times their mean a score must be to be an outlier.
    case outliers(threshold: Double = 5, spread: Double = 0.08)
    /// As another model has it: zeros of each layer under its key, scaled to the sparsity that is asked for.
    case profile([String: Double])

    /// A goal for each layer, under its key.
    ///
    /// - Parameter outlierRatios: for each block; asked for by ``outliers(threshold:spread:)`` alone.
    /// - Throws: ``ConfigurationError`` for a pattern that fixes every layer's sparsity, or a layer without profile.
    func goals(
        for layers: PrunableLayers, _ goal: SparsityGoal, outlierRatios: () throws -> [Double]
    ) throws -> [String: SparsityGoal] {
        func named(_ goals: [SparsityGoal]) -> [String: SparsityGoal] {
            var result: [String: SparsityGoal] = [:]
            for (layer, goal) in zip(layers.layers, goals) { result[layer.name] = goal }
            return result
        }
        if self == .uniform { return named(layers.layers.map { _ in goal }) }
        guard goal.isCounted, goal.scope != .global else {
            throw ConfigurationError.badValue(
                key: "allocation", value: name,
                expected: "uniform: \(goal.isCounted ? "a global scope" : "\(goal.pattern)") "
                    + "says what each layer keeps")
        }
        let counts = layers.layers.map(\.count)
        let sparsities: [Double]
        switch self {
        case .uniform: return [:]
        case .erdosRenyi:
            let shapes = layers.layers.map { ($0.parameter.matrix.rows, $0.parameter.matrix.columns) }
            sparsities = SparsityAllocation.erdosRenyi(shapes, sparsity: goal.sparsity).map { 1 - $0 }
        case .outliers(_, let spread):
            let ratios = try outlierRatios()
            var sizes = [Int](repeating: 0, count: ratios.count)
            for layer in layers.layers { sizes[layer.block] += layer.count }
            let densities = SparsityAllocation.spread(ratios, over: spread, sizes, sparsity: goal.sparsity)
            sparsities = layers.layers.map { 1 - densities[$0.block] }
        case .profile(let shares):
            let own = try layers.layers.map { layer in
                guard let share = shares[layer.name] else {
                    throw ConfigurationError.badValue(
                        key: "profile", value: "no layer \(layer.name)", expected: "a sparsity for each layer"
                    )
                }
                return 1 - share
            }
            sparsities = SparsityAllocation.scaled(own, counts, sparsity: goal.sparsity).map { 1 - $0 }
        }
        return named(try sparsities.map { try goal.with(sparsity: max(0, min($0, 1 - 1e-9))) })
    }

    /// Densities in proportion to (rows + columns) / (rows * columns) that make `sparsity` in all.
    package static func erdosRenyi(_ shapes: [(rows: Int, columns: Int)], sparsity: Double) -> [Double] {
        scaled(
            shapes.map { Double($0.rows + $0.columns) / (Double($0.rows) * Double($0.columns)) },
            shapes.map { $0.rows * $0.columns }, sparsity: sparsity)
    }

    /// Densities in proportion to `weights`, none over 1, that make `sparsity` over layers of these sizes.
    static func scaled(_ weights: [Double], _ counts: [Int], sparsity: Double) -> [Double] {
        let total = counts.reduce(0) { $0 + Double($1) }
        var isDense = weights.map { _ in false }
        while true {
            var left = (1 - sparsity) * total
            var weight = 0.0
            for index in weights.indices {
                if isDense[index] {
                    left -= Double(counts[index])
                } else {
                    weight += weights[index] * Double(counts[index])
                }
            }
            let factor = weight > 0 ? max(left, 0) / weight : 0
            let over = weights.indices.filter { !isDense[$0] && weights[$0] * factor > 1 }
            if over.isEmpty { return weights.indices.map { isDense[$0] ? 1 : weights[$0] * factor } }
            for index in over { isDense[index] = true }
        }
    }

    /// Densities of blocks between d - spread and d + spread of their mean, in the order of their ratios.
    package static func spread(_ ratios: [Double], over spread: Double, _ sizes: [Int], sparsity: Double)
        -> [Double]
    {
        guard let least = ratios.min(), let most = ratios.max(), most > least else {
            return ratios.map { _ in 1 - sparsity }
        }
        let raw = ratios.map { ($0 - least) / (most - least) * 2 * spread }
        let total = sizes.reduce(0) { $0 + Double($1) }
        let mean = zip(raw, sizes).reduce(0) { $0 + $1.0 * Double($1.1) } / total
        let densities = raw.map { $0 - mean + 1 - sparsity }
        if densities.allSatisfy({ $0 >= 0 && $0 <= 1 }) { return densities }
        // Near the ends the spread does not fit: the rest is shared in proportion.
        return scaled(densities.map { max($0, 0) }, sizes, sparsity: sparsity)
    }

    public var name: String {
        switch self {
        case .uniform: "uniform"
        case .erdosRenyi: "erk"
        case .outliers: "owl"
        case .profile: "profile"
        }
    }

    /// For `winnow.json`.
    public var json: JSONValue {
        switch self {
        case .uniform, .erdosRenyi, .profile: .string(name)
        case .outliers(let threshold, let spread):
            .object(
                JSONObject([
                    ("name", .string(name)), ("threshold", .number(threshold)), ("spread", .number(spread)),
                ]))
        }
    }
}

extension SparsityGoal {
    func with(sparsity: Double) throws(ConfigurationError) -> SparsityGoal {
        try SparsityGoal(sparsity: sparsity, pattern: pattern, scope: scope)
    }
}
