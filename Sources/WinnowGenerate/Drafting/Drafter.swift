import WinnowCore
import WinnowText

/// A guess at a coming token.
public struct DraftedToken: Sendable {
    public var token: TokenID
    /// What it was drawn from; nil where it was not drawn but chosen.
    public var distribution: TokenDistribution?

    public init(_ token: TokenID, drawnFrom distribution: TokenDistribution? = nil) {
        self.token = token
        self.distribution = distribution
    }
}

/// Guesses coming tokens cheaply, for a model that reads all of them in one step and keeps what it would have
/// written itself: nothing of the text depends on the guesses, only the time it takes.
public protocol Drafter: AnyObject {
    /// At most `count` tokens that may follow `text`.
    ///
    /// - Parameter sampler: as the text is sampled; a drafter that draws does so from the same filters.
    /// - Throws: ``ModelError/cancelled``, or what the drafter's own model throws.
    func draft(
        after text: [TokenID], count: Int, like sampler: Sampler, cancellation: CancellationFlag?
    ) throws -> [DraftedToken]
}

/// How many tokens to draft next: two more after a draft that was kept whole, one fewer after any other.
///
/// It looks at acceptance alone, not at the clock: a seed gives the same text on every machine.
struct DraftLength {
    private(set) var count: Int
    private let most: Int

    init(most: Int) {
        self.most = most
        count = min(4, most)
    }

    mutating func observe(drafted: Int, accepted: Int) {
        guard drafted > 0 else { return }
        count = accepted == drafted ? min(count + 2, most) : max(count - 1, 1)
    }
}
