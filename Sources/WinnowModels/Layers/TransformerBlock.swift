import WinnowWeights

/// Root-mean-square normalisation, x * weight / sqrt(mean(x^2) + epsilon).
public struct RMSNorm: Module {
    public let weight: Parameter
    public let epsilon: Float

    public func visit(_ body: (Parameter) throws -> Void) rethrows { try body(weight) }
}

/// Attention with grouped queries: q and o `[heads * headWidth, width]`, k and v of fewer heads.
public struct SelfAttention: Module {
    public let query: Parameter
    public let key: Parameter
    public let value: Parameter
    public let output: Parameter

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(query)
        try body(key)
        try body(value)
        try body(output)
    }
}

/// A gated feed-forward network, down(silu(gate x) * up x).
public struct GatedFeedForward: Module {
    public let gate: Parameter
    public let up: Parameter
    public let down: Parameter

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(gate)
        try body(up)
        try body(down)
    }
}

/// A pre-norm decoder block: x += attention(norm(x)); x += feedForward(norm(x)).
public struct TransformerBlock: Module {
    public let attentionNorm: RMSNorm
    public let attention: SelfAttention
    public let feedForwardNorm: RMSNorm
    public let feedForward: GatedFeedForward

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try attentionNorm.visit(body)
        try attention.visit(body)
        try feedForwardNorm.visit(body)
        try feedForward.visit(body)
    }

    /// The block's linears with the point whose values they read.
    public var linears: [(parameter: Parameter, input: TapPoint)] {
        [
            (attention.query, .attentionInput), (attention.key, .attentionInput),
            (attention.value, .attentionInput), (attention.output, .attentionOutput),
            (feedForward.gate, .feedForwardInput), (feedForward.up, .feedForwardInput),
            (feedForward.down, .feedForwardHidden),
        ]
    }
}
