import WinnowIO
import WinnowWeights

/// Feed-forward networks of which each token goes to a few:
/// sum over the chosen e of weight_e * expert_e(x), and sigmoid(g x) * shared(x) beside where there is a shared one.
public struct MixtureOfExperts: Module {
    /// A score for each expert: `[experts, width]`.
    public let router: Parameter
    public let choice: Router
    /// All alike in shape.
    public let experts: [FeedForward]
    public let shared: FeedForward?
    /// `[1, width]`, with a shared expert.
    public let sharedRouter: Parameter?

    public init(
        router: Parameter, choice: Router, experts: [FeedForward], shared: FeedForward? = nil,
        sharedRouter: Parameter? = nil
    ) {
        self.router = router
        self.choice = choice
        self.experts = experts
        self.shared = shared
        self.sharedRouter = sharedRouter
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(router)
        for expert in experts { try expert.visit(body) }
        if let sharedRouter { try body(sharedRouter) }
        try shared?.visit(body)
    }

    /// The weights that methods may prune, each once, with the point whose values they read. The router is not one.
    var linears: [(parameter: Parameter, input: TapPoint)] {
        var linears: [(parameter: Parameter, input: TapPoint)] = []
        for (index, expert) in experts.enumerated() {
            linears += expert.inputWeights.map { ($0, .expertInput(index)) }
            linears.append((expert.down.weight, .expertHidden(index)))
        }
        if let shared {
            linears += shared.inputWeights.map { ($0, .feedForwardInput) }
            linears.append((shared.down.weight, .feedForwardHidden))
        }
        return linears
    }
}

/// How scores become a choice of experts: softmax over all, the largest few, the lowest index among equals.
public struct Router: Sendable, Equatable {
    /// Experts that a token goes to.
    public let used: Int
    /// Divides the weights of the chosen by their sum; otherwise they stay shares of all experts.
    public let renormalises: Bool

    public init(used: Int, renormalises: Bool) {
        self.used = used
        self.renormalises = renormalises
    }

    /// Chooses for one token.
    ///
    /// - Parameter probabilities: of all experts; overwritten.
    /// - Parameter experts: `used` indices, the most probable first.
    /// - Parameter weights: of their outputs.
    func choose(
        _ probabilities: UnsafeMutableBufferPointer<Float>, experts: UnsafeMutablePointer<Int32>,
        weights: UnsafeMutablePointer<Float>
    ) {
        var sum: Float = 0
        for slot in 0..<used {
            var best = -1
            for index in probabilities.indices {
                // The chosen are marked by -1. NaN is never larger: damaged scores choose the first experts.
                if probabilities[index] == -1 { continue }
                if best < 0 || probabilities[index] > probabilities[best] { best = index }
            }
            experts[slot] = Int32(best)
            weights[slot] = probabilities[best]
            sum += probabilities[best]
            probabilities[best] = -1
        }
        guard renormalises else { return }
        for slot in 0..<used { weights[slot] /= sum }
    }
}
