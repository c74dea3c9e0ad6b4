/// Which neurons of a feed-forward network count as used, by a token and by a text.
///
/// A neuron's activation a is what the down projection reads: of a gated network act(gate x) * up x. A token's core
/// neurons are the top share alpha of those that are active; a text's are the beta * width that are core for most of
/// its tokens.
///
/// - Source: CoreInfer, arXiv 2410.18311, definitions 1 and 2. Its code takes only a > 0 (``Ranking/sign``).
/// - Departure: the share alpha is taken of each token's own active neurons, as the paper has it; its code takes one
///   count for the whole prompt, which needs all activations at once and changes with the chunks of a prefill.
public struct NeuronPredicate: Sendable, Hashable {
    /// What makes a neuron active, and more so than another.
    public enum Ranking: String, Sendable, CaseIterable {
        /// a > 0, by a: the paper's.
        case sign
        /// a != 0, by |a|.
        case magnitude
    }

    public var ranking: Ranking
    /// The share of a token's active neurons that are its core.
    public var alpha: Double
    /// The share of all neurons that a text keeps; 1 keeps all of them, seen or not.
    public var beta: Double

    /// - Throws: ``NeuronError/badShare(name:value:)`` unless both shares are over 0 and at most 1.
    public init(ranking: Ranking = .sign, alpha: Double = 0.4, beta: Double = 0.2) throws(NeuronError) {
        for (name, value) in [("alpha", alpha), ("beta", beta)] {
            guard value > 0, value <= 1 else { throw .badShare(name: name, value: value) }
        }
        self.ranking = ranking
        self.alpha = alpha
        self.beta = beta
    }

    /// Core neurons of a token with so many active ones: those at or above the (1 - alpha) percentile, interpolated
    /// between values as NumPy does it.
    public func tokenCount(active: Int) -> Int {
        active > 0 ? NeuronPredicate.floor(alpha * Double(active - 1)) + 1 : 0
    }

    /// The most core neurons of a text, of a network with so many: at least one.
    public func textCount(width: Int) -> Int {
        min(max(NeuronPredicate.floor(beta * Double(width)), 1), width)
    }

    /// The whole part, of a product that may have been rounded to just below a whole number: 0.29 * 100.
    static func floor(_ value: Double) -> Int { Int(value + 1e-9) }
}
