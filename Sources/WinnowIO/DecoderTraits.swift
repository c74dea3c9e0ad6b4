/// What sets a decoder apart from a plain Llama, whose values are the defaults.
public struct DecoderTraits: Sendable, Equatable {
    public enum Norm: Sendable { case rms, layer }
    public enum Activation: Sendable { case silu, geluTanh, relu }

    /// `layer` norms have biases.
    public var norm = Norm.rms
    /// Added to every norm's weights: 1 where a file holds differences from 1, as Gemma's folders do.
    public var normOffset: Float = 0
    /// A norm over each branch's output too, before it joins the residual (Gemma 2 and 3).
    public var hasSandwichNorms = false
    /// RMS norms over each head of queries and keys, before rotary positions.
    public var hasQueryKeyNorms = false
    public var hasQueryKeyValueBiases = false
    public var hasOutputBias = false
    public var hasFeedForwardBiases = false
    public var activation = Activation.silu
    /// down(act(gate x) * up x); otherwise down(act(up x)).
    public var isGated = true
    /// One matrix holds the rows of q, k and v, in this order.
    public var fusesQueryKeyValue = false
    /// One matrix holds the rows of gate and up, in this order.
    public var fusesGateUp = false
    public var embeddingScale: Float = 1
    /// A learned embedding for each position, in place of rotary ones; nil where there is none.
    public var learnedPositions: LearnedPositions?
    /// Of the scores; nil: 1 / sqrt(headWidth).
    public var attentionScale: Float?
    /// Scores become cap * tanh(score / cap); 0: they stay.
    public var attentionCap: Float = 0
    public var logitCap: Float = 0
    /// The tokens that a sliding layer sees, its own among them; nil without such layers.
    public var slidingWindow: Int?
    /// For each layer whether it slides; empty without such layers.
    public var slidingLayers: [Bool] = []
    /// The rotary positions of sliding layers, where they have their own.
    public var slidingRope: RopeSettings?

    public init() {}

    /// The window of a layer; nil where it sees everything.
    public func window(ofLayer layer: Int) -> Int? {
        slidingLayers.indices.contains(layer) && slidingLayers[layer] ? slidingWindow : nil
    }
}

/// A table of position embeddings `[rows, width]`; position p reads row p + offset.
public struct LearnedPositions: Sendable, Equatable {
    public var rows: Int
    public var offset: Int
}
