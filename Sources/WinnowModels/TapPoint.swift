/// A named place in a block where values can be observed, `[tokens, width of the place]` in float32.
public enum TapPoint: String, Sendable, CaseIterable, Hashable {
    /// The normalised input of q, k and v.
    case attentionInput = "attn.input"
    /// The heads' output, before the output projection.
    case attentionOutput = "attn.output"
    /// The normalised input of gate and up.
    case feedForwardInput = "mlp.input"
    /// The gated activations, before the down projection.
    case feedForwardHidden = "mlp.hidden"
}

/// Values at a tap point, valid only during the call.
public struct TapValues {
    public let point: TapPoint
    public let base: UnsafePointer<Float>
    /// Floats between tokens.
    public let stride: Int
    public let tokens: Int
    public let width: Int

    public init(point: TapPoint, base: UnsafePointer<Float>, stride: Int, tokens: Int, width: Int) {
        self.point = point
        self.base = base
        self.stride = stride
        self.tokens = tokens
        self.width = width
    }
}
