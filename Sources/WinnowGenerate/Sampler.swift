import CWinnow
import WinnowCore
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Picks the next token from logits: repeat penalty, top-k, top-p, min-p, temperature, in this order.
public struct Sampler: Sendable {
    private let options: GenerationOptions
    private var random: Random
    private var recent: [TokenID] = []
    private var scaled: [Float] = []
    private var order: [Int32] = []

    /// Tokens that the repeat penalty looks back on.
    public static let penaltyWindow = 64

    public init(_ options: GenerationOptions) {
        self.options = options
        random = Random(seed: options.seed)
    }

    /// Tells the sampler of a token it did not pick: the prompt's.
    public mutating func observe(_ token: TokenID) {
        guard options.repeatPenalty != 1 else { return }
        recent.append(token)
        if recent.count > Sampler.penaltyWindow { recent.removeFirst(recent.count - Sampler.penaltyWindow) }
    }

    /// The next token; `observe` is included.
    public mutating func pick(_ logits: UnsafeBufferPointer<Float>) -> TokenID {
        let token =
            options.temperature == 0 ? greedy(logits) : distribution(logits).draw(using: &random)
        observe(token)
        return token
    }

    /// The next token where another model has drafted one: the drafted one, if it is kept. What comes out is
    /// distributed as ``pick(_:)`` is (Leviathan et al., arXiv 2211.17192, section 2.3), and for a token that was
    /// chosen, not drawn, it is the token that ``pick(_:)`` would have taken.
    public mutating func verify(_ draft: DraftedToken, _ logits: UnsafeBufferPointer<Float>) -> TokenID {
        guard options.temperature > 0, let drafted = draft.distribution else { return pick(logits) }
        let own = distribution(logits)
        let isKept =
            random.uniformDouble() * drafted.probability(of: draft.token) < own.probability(of: draft.token)
        let token = isKept ? draft.token : own.beyond(drafted).draw(using: &random)
        observe(token)
        return token
    }

    /// A token for another model to verify; `observe` is included.
    package mutating func draft(_ logits: UnsafeBufferPointer<Float>) -> DraftedToken {
        guard options.temperature > 0 else { return DraftedToken(pick(logits)) }
        let distribution = distribution(logits)
        let token = distribution.draw(using: &random)
        observe(token)
        return DraftedToken(token, drawnFrom: distribution)
    }

    /// This sampler with a source of chance of its own, so that a drafter does not foresee its draws.
    ///
    /// - Parameter position: in the text; the same seed and position give the same draws.
    func drafting(at position: Int) -> Sampler {
        var copy = self
        copy.random = Random(seed: options.seed &+ UInt64(position) &* 0xD134_2543_DE82_EF95)
        return copy
    }

    private mutating func greedy(_ logits: UnsafeBufferPointer<Float>) -> TokenID {
        guard options.repeatPenalty != 1 else { return TokenID(wn_argmax(logits.baseAddress, logits.count)) }
        penalize(logits)
        return TokenID(wn_argmax(scaled, scaled.count))
    }

    /// What is drawn from at a temperature over 0.
    private mutating func distribution(_ logits: UnsafeBufferPointer<Float>) -> TokenDistribution {
        penalize(logits)
        var kept = nucleus(candidates())
        if options.minP > 0, let best = kept.first {
            // p / pBest >= minP, in logits.
            let threshold = scaled[Int(best)] + logf(options.minP)
            kept = kept.prefix { scaled[Int($0)] >= threshold }
        }
        let best = scaled[Int(kept[kept.startIndex])]
        return TokenDistribution(
            ids: kept.map { TokenID($0) },
            weights: kept.map { exp(Double((scaled[Int($0)] - best) / options.temperature)) })
    }

    private mutating func penalize(_ logits: UnsafeBufferPointer<Float>) {
        scaled.removeAll(keepingCapacity: true)
        scaled.append(contentsOf: logits)
        guard options.repeatPenalty != 1 else { return }
        for token in Set(recent) where Int(token) < scaled.count {
            let value = scaled[Int(token)]
            scaled[Int(token)] = value > 0 ? value / options.repeatPenalty : value * options.repeatPenalty
        }
    }

    /// Ids in falling order of logits (lowest id first among equals), cut by top-k.
    private mutating func candidates() -> ArraySlice<Int32> {
        let count = scaled.count
        order.removeAll(keepingCapacity: true)
        // Without a top-k, tokens 20 nats times the temperature below the best can't be drawn in practice
        // (2e-9 each), so that sorting the whole vocabulary is spared.
        let best = scaled[wn_argmax(scaled, count)]
        let floor = best - 20 * max(options.temperature, 1)
        for id in 0..<count where scaled[id] >= floor { order.append(Int32(id)) }
        order.sort { (scaled[Int($0)], $1) > (scaled[Int($1)], $0) }
        return options.topK > 0 ? order.prefix(options.topK) : order[...]
    }

    private func nucleus(_ kept: ArraySlice<Int32>) -> ArraySlice<Int32> {
        guard options.topP < 1, let first = kept.first else { return kept }
        let best = scaled[Int(first)]
        let total = kept.reduce(0.0) { $0 + exp(Double(scaled[Int($1)] - best)) }
        var sum = 0.0
        for (count, id) in kept.enumerated() {
            sum += exp(Double(scaled[Int(id)] - best))
            if sum >= Double(options.topP) * total { return kept.prefix(count + 1) }
        }
        return kept
    }
}
