import WinnowIO
import WinnowWeights

/// A normalisation over a row of values: x * w / sqrt(mean(x^2) + epsilon), or of a layer norm
/// (x - mean) * w / sqrt(variance + epsilon) + bias. w is `weight + offset`.
public struct Norm: Module {
    public let weight: Parameter
    public let bias: Parameter?
    public let epsilon: Float
    /// 1 where a file holds differences from 1.
    public let offset: Float
    /// A layer norm, with a bias or without; otherwise an RMS norm.
    public let isLayerNorm: Bool

    /// - Parameter isLayerNorm: nil: with a bias.
    public init(
        weight: Parameter, bias: Parameter? = nil, epsilon: Float, offset: Float = 0, isLayerNorm: Bool? = nil
    ) {
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
        self.offset = offset
        self.isLayerNorm = isLayerNorm ?? (bias != nil)
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(weight)
        if let bias { try body(bias) }
    }
}

/// y = W x + bias, of all rows of a weight or of those that are one part of a fused one.
public struct Linear {
    public let weight: Parameter
    /// A value for every row of `weight`.
    public let bias: Parameter?
    /// nil: all.
    public let rows: Range<Int>?

    public init(_ weight: Parameter, bias: Parameter? = nil, rows: Range<Int>? = nil) {
        self.weight = weight
        self.bias = bias
        self.rows = rows
    }

    /// Rows of the output.
    public var outputs: Int { rows?.count ?? weight.matrix.rows }

    fileprivate func visit(unless isFused: Bool, _ body: (Parameter) throws -> Void) rethrows {
        guard !isFused else { return }
        try body(weight)
        if let bias { try body(bias) }
    }
}

/// Attention with grouped queries: q and o `[heads * headWidth, width]`, k and v of fewer heads.
///
/// q, k and v may be rows of one parameter.
public struct SelfAttention: Module {
    public let query: Linear
    public let key: Linear
    public let value: Linear
    /// Over each head of q and k, or over all of them together as long as the weights are, before rotary positions.
    public let queryNorm: Norm?
    public let keyNorm: Norm?
    public let output: Linear

    public init(
        query: Linear, key: Linear, value: Linear, queryNorm: Norm? = nil, keyNorm: Norm? = nil,
        output: Linear
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.queryNorm = queryNorm
        self.keyNorm = keyNorm
        self.output = output
    }

    var isFused: Bool { query.weight === key.weight }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try query.visit(unless: false, body)
        try key.visit(unless: isFused, body)
        try value.visit(unless: isFused, body)
        try queryNorm?.visit(body)
        try keyNorm?.visit(body)
        try output.visit(unless: false, body)
    }

    /// Each weight that q, k and v read, once.
    var inputWeights: [Parameter] { isFused ? [query.weight] : [query.weight, key.weight, value.weight] }
}

/// A feed-forward network: down(act(gate x) * up x), or without a gate down(act(up x)).
///
/// gate and up may be rows of one parameter.
public struct FeedForward: Module {
    public let gate: Linear?
    public let up: Linear
    public let down: Linear
    public let activation: DecoderTraits.Activation

    public init(gate: Linear?, up: Linear, down: Linear, activation: DecoderTraits.Activation = .silu) {
        self.gate = gate
        self.up = up
        self.down = down
        self.activation = activation
    }

    var isFused: Bool { gate?.weight === up.weight }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try gate?.visit(unless: false, body)
        try up.visit(unless: isFused, body)
        try down.visit(unless: false, body)
    }

    /// Each weight that gate and up read, once.
    var inputWeights: [Parameter] { (gate.map { [$0.weight] } ?? []) + (isFused ? [] : [up.weight]) }
}

/// A block: x += post(attention(norm(x))); x += post(feedForward(norm(x))), where either norm may be missing.
///
/// With norms placed after, as BERT has them: x = norm(x + attention(x)); x = norm(x + feedForward(x)).
public struct TransformerBlock: Module {
    public let attentionNorm: Norm?
    public let attention: SelfAttention
    public let postAttentionNorm: Norm?
    public let feedForwardNorm: Norm?
    /// nil where experts stand in its place.
    public let feedForward: FeedForward?
    public let mixture: MixtureOfExperts?
    public let postFeedForwardNorm: Norm?
    /// Of `attentionNorm` and `feedForwardNorm`.
    public let normPlacement: DecoderTraits.NormPlacement

    public init(
        attentionNorm: Norm?, attention: SelfAttention, postAttentionNorm: Norm? = nil,
        feedForwardNorm: Norm?,
        feedForward: FeedForward?, mixture: MixtureOfExperts? = nil, postFeedForwardNorm: Norm? = nil,
        normPlacement: DecoderTraits.NormPlacement = .before
    ) {
        precondition(
            (feedForward == nil) != (mixture == nil), "one feed-forward network or a mixture of them")
        self.attentionNorm = attentionNorm
        self.attention = attention
        self.postAttentionNorm = postAttentionNorm
        self.feedForwardNorm = feedForwardNorm
        self.feedForward = feedForward
        self.mixture = mixture
        self.postFeedForwardNorm = postFeedForwardNorm
        self.normPlacement = normPlacement
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try attentionNorm?.visit(body)
        try attention.visit(body)
        try postAttentionNorm?.visit(body)
        try feedForwardNorm?.visit(body)
        try feedForward?.visit(body)
        try mixture?.visit(body)
        try postFeedForwardNorm?.visit(body)
    }

    /// The block's weights of linears, each once, with the point whose values they read.
    public var linears: [(parameter: Parameter, input: TapPoint)] {
        attention.inputWeights.map { ($0, .attentionInput) } + [(attention.output.weight, .attentionOutput)]
            + feedForwardLinears
    }

    /// The points that the linears read, stage by stage: what a block makes together can be observed in one pass.
    public var tapStages: [[TapPoint]] {
        let points = linears.map(\.input)
        return (0..<4).map { stage in
            var own: [TapPoint] = []
            for point in points where point.stage == stage && !own.contains(point) { own.append(point) }
            return own
        }.filter { !$0.isEmpty }
    }

    private var feedForwardLinears: [(parameter: Parameter, input: TapPoint)] {
        if let mixture { return mixture.linears }
        guard let feedForward else { return [] }
        return feedForward.inputWeights.map { ($0, .feedForwardInput) }
            + [(feedForward.down.weight, .feedForwardHidden)]
    }
}
