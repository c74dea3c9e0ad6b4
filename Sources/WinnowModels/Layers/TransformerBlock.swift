import WinnowIO
import WinnowWeights

/// A normalisation over a row of values.
///
/// Without a bias x * w / sqrt(mean(x^2) + epsilon); with one (x - mean) * w / sqrt(variance + epsilon) + bias. w is
/// `weight + offset`.
public struct Norm: Module {
    public let weight: Parameter
    public let bias: Parameter?
    public let epsilon: Float
    /// 1 where a file holds differences from 1.
    public let offset: Float

    public init(weight: Parameter, bias: Parameter? = nil, epsilon: Float, offset: Float = 0) {
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
        self.offset = offset
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
    /// Over each head of q and k, before rotary positions.
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

/// A pre-norm decoder block: x += post(attention(norm(x))); x += post(feedForward(norm(x))), where `post` is a norm
/// of its own in families that have one, and nothing in others.
public struct TransformerBlock: Module {
    public let attentionNorm: Norm
    public let attention: SelfAttention
    public let postAttentionNorm: Norm?
    public let feedForwardNorm: Norm
    public let feedForward: FeedForward
    public let postFeedForwardNorm: Norm?

    public init(
        attentionNorm: Norm, attention: SelfAttention, postAttentionNorm: Norm? = nil, feedForwardNorm: Norm,
        feedForward: FeedForward, postFeedForwardNorm: Norm? = nil
    ) {
        self.attentionNorm = attentionNorm
        self.attention = attention
        self.postAttentionNorm = postAttentionNorm
        self.feedForwardNorm = feedForwardNorm
        self.feedForward = feedForward
        self.postFeedForwardNorm = postFeedForwardNorm
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try attentionNorm.visit(body)
        try attention.visit(body)
        try postAttentionNorm?.visit(body)
        try feedForwardNorm.visit(body)
        try feedForward.visit(body)
        try postFeedForwardNorm?.visit(body)
    }

    /// The block's weights of linears, each once, with the point whose values they read.
    public var linears: [(parameter: Parameter, input: TapPoint)] {
        attention.inputWeights.map { ($0, .attentionInput) } + [(attention.output.weight, .attentionOutput)]
            + feedForward.inputWeights.map { ($0, .feedForwardInput) }
            + [(feedForward.down.weight, .feedForwardHidden)]
    }
}
