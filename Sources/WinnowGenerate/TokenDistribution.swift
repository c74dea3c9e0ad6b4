import WinnowCore
import WinnowText

/// What a sampler draws from: the tokens that its filters left, most likely first, and their shares.
public struct TokenDistribution: Sendable, Equatable {
    public private(set) var ids: [TokenID]
    /// Not divided by their sum.
    private var weights: [Double]
    private var total: Double

    /// - Parameter weights: one an id, none negative, one at least positive.
    public init(ids: [TokenID], weights: [Double]) {
        self.ids = ids
        self.weights = weights
        total = weights.reduce(0, +)
    }

    public func probability(of token: TokenID) -> Double {
        ids.firstIndex(of: token).map { weights[$0] / total } ?? 0
    }

    public func draw(using random: inout Random) -> TokenID {
        var left = random.uniformDouble() * total
        for (id, weight) in zip(ids, weights) {
            left -= weight
            if left < 0 { return id }
        }
        return ids[ids.count - 1]
    }

    /// What is drawn when a token drafted from `other` was refused: max(0, p - q), or p where that leaves nothing
    /// (Leviathan et al., *Fast Inference from Transformers via Speculative Decoding*, arXiv 2211.17192, section 2.3).
    package func beyond(_ other: TokenDistribution) -> TokenDistribution {
        var drafted: [TokenID: Double] = [:]
        for (id, weight) in zip(other.ids, other.weights) { drafted[id] = weight / other.total }
        let rest = zip(ids, weights).map { max(0, $1 / total - drafted[$0, default: 0]) }
        return rest.contains { $0 > 0 } ? TokenDistribution(ids: ids, weights: rest) : self
    }
}
