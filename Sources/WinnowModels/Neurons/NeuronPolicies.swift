import WinnowCore

/// Keeps every neuron.
public struct AllNeurons: NeuronPolicy {
    public let predicate: NeuronPredicate
    private let scope: NeuronScope

    public init(_ scope: NeuronScope, _ predicate: NeuronPredicate) {
        self.scope = scope
        self.predicate = predicate
    }

    public var layers: ClosedRange<Int> { scope.layers }
    public var readsPrompt: Bool { false }
    public func plan(after prompt: NeuronCounter) -> NeuronPlan { scope.dense }
}

/// Keeps the neurons that are core for most of the prompt's tokens: the paper's stability-guided choice.
///
/// A neuron that no token of the prompt used is never kept, so that a short prompt keeps fewer than beta of them. Of a
/// prompt of one token nothing is known: it keeps all.
///
/// - Source: CoreInfer, arXiv 2410.18311, section 4.
public struct CoreNeurons: NeuronPolicy {
    public let predicate: NeuronPredicate
    private let scope: NeuronScope

    public init(_ scope: NeuronScope, _ predicate: NeuronPredicate) {
        self.scope = scope
        self.predicate = predicate
    }

    public var layers: ClosedRange<Int> { scope.layers }

    public func plan(after prompt: NeuronCounter) throws(NeuronError) -> NeuronPlan {
        let counts = try prompt.counts()
        guard prompt.tokens > 1 else { return scope.dense }
        return scope.plan(.stability, keeping: counts.map(\.ranking), predicate)
    }

    /// How alike the core neurons of the prompt's halves are: intersection over union, the mean over blocks. 0 of a
    /// prompt without halves.
    public func stability(of prompt: NeuronCounter) throws(NeuronError) -> Double {
        let halves = try prompt.halves()
        guard prompt.tokens > 1 else { return 0 }
        var sum = 0.0
        for (first, second) in zip(halves.first, halves.second) {
            let count = predicate.textCount(width: first.width)
            sum += NeuronSet(width: first.width, first.ranking.prefix(count))
                .overlap(with: NeuronSet(width: first.width, second.ranking.prefix(count)))
        }
        return sum / Double(halves.first.count)
    }
}

/// Keeps the neurons that texts like the prompt use: the paper's similarity-guided choice.
///
/// The prompt's core neurons in one deep block are compared with the centres of a profile's clusters; the nearest
/// cluster's neurons are kept in all blocks.
///
/// - Source: CoreInfer, arXiv 2410.18311, section 4.
/// - Departure: the paper's code clusters what the activation function reads; here the same activations count as
///   everywhere else.
public struct ClusterNeurons: NeuronPolicy {
    public let predicate: NeuronPredicate
    private let scope: NeuronScope
    private let profile: NeuronProfile

    /// - Parameter beta: the share that is kept; what counts as used is as in the profile.
    /// - Throws: ``NeuronError/badShare(name:value:)``.
    public init(_ scope: NeuronScope, beta: Double, _ profile: NeuronProfile) throws(NeuronError) {
        self.scope = scope
        self.profile = profile
        var predicate = profile.predicate
        predicate.beta = beta
        self.predicate = try NeuronPredicate(
            ranking: predicate.ranking, alpha: predicate.alpha, beta: predicate.beta)
    }

    /// The deep block is counted whether it leaves neurons out or not.
    public var layers: ClosedRange<Int> {
        min(
            scope.layers.lowerBound, profile.clusterLayer)...max(
                scope.layers.upperBound, profile.clusterLayer)
    }

    public func plan(after prompt: NeuronCounter) throws(NeuronError) -> NeuronPlan {
        let counts = try prompt.counts()[profile.clusterLayer - prompt.layers.lowerBound]
        let cluster = profile.nearestCluster(to: profile.signature(of: counts))
        return scope.plan(
            .similarity(cluster: cluster),
            keeping: scope.layers.map { profile.clusters[cluster].rankings[$0] }, predicate)
    }
}

/// Chooses by the prompt where its halves use the same neurons, else by similarity.
///
/// The paper chooses by task; the rule that stands for it: an overlap of the halves' core neurons of at least
/// ``threshold`` means that the prompt is long and even enough to go by itself.
public struct AutomaticNeurons: NeuronPolicy {
    /// Of the halves' core neurons, intersection over union.
    public static let threshold = 0.7

    private let own: CoreNeurons
    private let similar: ClusterNeurons

    /// - Throws: ``NeuronError/badShare(name:value:)``.
    public init(_ scope: NeuronScope, beta: Double, _ profile: NeuronProfile) throws(NeuronError) {
        similar = try ClusterNeurons(scope, beta: beta, profile)
        own = CoreNeurons(scope, similar.predicate)
    }

    public var predicate: NeuronPredicate { own.predicate }
    public var layers: ClosedRange<Int> { similar.layers }

    public func plan(after prompt: NeuronCounter) throws(NeuronError) -> NeuronPlan {
        let inner = prompt.part(own.layers)
        let overlap = try own.stability(of: inner)
        var plan =
            overlap >= AutomaticNeurons.threshold
            ? try own.plan(after: inner) : try similar.plan(after: prompt)
        plan.overlap = overlap
        return plan
    }
}

/// Keeps the same neurons whatever the prompt: what a choice by prompt has to beat.
public struct FixedNeurons: NeuronPolicy {
    public let name: String
    public let predicate: NeuronPredicate
    private let scope: NeuronScope
    /// Of the blocks in scope, the first to stay first.
    private let rankings: [[Int]]

    /// - Parameter rankings: one for each of the scope's blocks.
    public init(_ name: String, _ scope: NeuronScope, _ predicate: NeuronPredicate, rankings: [[Int]]) {
        precondition(
            rankings.count == scope.layers.count, "\(rankings.count) rankings of \(scope.layers.count) blocks"
        )
        self.name = name
        self.scope = scope
        self.predicate = predicate
        self.rankings = rankings
    }

    public var layers: ClosedRange<Int> { scope.layers }
    public var readsPrompt: Bool { false }

    public func plan(after prompt: NeuronCounter) -> NeuronPlan {
        scope.plan(.fixed(name), keeping: rankings, predicate)
    }

    /// The same order, cut elsewhere.
    public func keeping(_ predicate: NeuronPredicate) -> FixedNeurons {
        FixedNeurons(name, scope, predicate, rankings: rankings)
    }

    /// In an order drawn by lot.
    public static func random(_ scope: NeuronScope, _ predicate: NeuronPredicate, seed: UInt64)
        -> FixedNeurons
    {
        var random = Random(seed: seed)
        return FixedNeurons(
            "random", scope, predicate,
            rankings: scope.layers.map { Array(0..<scope.widths[$0]).shuffled(using: &random) })
    }

    /// By the norms of a neuron's weights: ||down[:, n]|| ||up[n]||, times ||gate[n]|| where there is a gate.
    public static func weightNorm(
        _ model: LanguageModel, _ scope: NeuronScope, _ predicate: NeuronPredicate, on pool: KernelPool
    ) -> FixedNeurons {
        FixedNeurons(
            "weight-norm", scope, predicate,
            rankings: scope.layers.map { layer in
                let norms = model.blocks[layer].feedForward!.neuronNorms(on: pool)
                return norms.indices.sorted { (norms[$0], $1) > (norms[$1], $0) }
            })
    }

    /// By how often the texts of a profile used a neuron.
    public static func profile(
        _ profile: NeuronProfile, _ scope: NeuronScope, _ predicate: NeuronPredicate
    ) -> FixedNeurons {
        FixedNeurons("static", scope, predicate, rankings: scope.layers.map { profile.rankings[$0] })
    }
}

extension FeedForward {
    /// The product of the norms of a neuron's weights, for each neuron.
    fileprivate func neuronNorms(on pool: KernelPool) -> [Double] {
        let matrix = down.weight.matrix
        let floats = matrix.floats(on: pool)
        var norms = [Double](repeating: 0, count: matrix.columns)
        for row in 0..<matrix.rows {
            for column in norms.indices {
                let weight = Double(floats[row * matrix.columns + column])
                norms[column] += weight * weight
            }
        }
        for linear in [gate, up].compactMap(\.self) {
            let matrix = linear.weight.matrix
            let floats = matrix.floats(rows: linear.rows, on: pool)
            for neuron in norms.indices {
                var sum = 0.0
                for column in 0..<matrix.columns {
                    let weight = Double(floats[neuron * matrix.columns + column])
                    sum += weight * weight
                }
                norms[neuron] *= sum
            }
        }
        return norms
    }
}
