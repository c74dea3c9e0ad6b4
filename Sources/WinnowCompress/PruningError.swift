/// Why a model cannot be pruned.
public enum PruningError: Error, Equatable, Sendable, CustomStringConvertible {
    case needsCalibration(method: String)
    case unevenWindows(index: Int, tokens: Int, expected: Int)
    case windowTooLong(tokens: Int, context: Int)
    case activationsNotFinite(layer: String, channel: Int)
    case resultNotFinite(layer: String)
    case singular(layer: String, channel: Int)
    case expertUnseen(layer: String)
    case cancelled

    public var description: String {
        switch self {
        case .needsCalibration(let method):
            "\(method) looks at activations: give calibration text (--calibration)"
        case .unevenWindows(let index, let tokens, let expected):
            "calibration window \(index) has \(tokens) tokens, the first has \(expected); all must be equally long"
        case .windowTooLong(let tokens, let context):
            "calibration windows of \(tokens) tokens are longer than the model's context of \(context)"
        case .activationsNotFinite(let layer, let channel):
            "the inputs of \(layer) are NaN or infinite (channel \(channel)): weights before it are damaged"
        case .resultNotFinite(let layer):
            "\(layer): the solver left NaN or infinite weights: are the weights or the calibration text damaged?"
        case .singular(let layer, let channel):
            "the inputs of \(layer) do not determine its weights (channel \(channel) is made up of others): "
                + "raise --damping or calibrate on more text"
        case .expertUnseen(let layer):
            "no calibration token was routed to the expert of \(layer): give more calibration text, or use magnitude"
        case .cancelled: "cancelled"
        }
    }
}
