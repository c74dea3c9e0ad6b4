/// A named place in a block where values can be observed, `[tokens, width of the place]` in float32.
public enum TapPoint: Sendable, Hashable {
    /// The normalised input of q, k and v.
    case attentionInput
    /// The heads' output, before the output projection.
    case attentionOutput
    /// The normalised input of gate and up; with experts, that of the shared one.
    case feedForwardInput
    /// The gated activations, before the down projection; with experts, those of the shared one.
    case feedForwardHidden
    /// The normalised inputs that were routed to an expert.
    case expertInput(Int)
    /// The gated activations of an expert.
    case expertHidden(Int)
}

extension TapPoint {
    /// When a block makes these values: 0 to 3. Those of one stage are made together.
    var stage: Int {
        switch self {
        case .attentionInput: 0
        case .attentionOutput: 1
        case .feedForwardInput, .expertInput: 2
        case .feedForwardHidden, .expertHidden: 3
        }
    }
}

extension TapPoint: CaseIterable {
    /// The points of a block without experts.
    public static let allCases: [TapPoint] = [
        .attentionInput, .attentionOutput, .feedForwardInput, .feedForwardHidden,
    ]
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
