/// Why core neurons can't be chosen.
public enum NeuronError: Error, Equatable, Sendable, CustomStringConvertible {
    case badShare(name: String, value: Double)
    case hasExperts(architecture: String)
    case noSuchLayers(ClosedRange<Int>, layers: Int)
    /// A way of choosing that needs clusters, without any.
    case needsProfile(mode: String)
    case textTooShort(tokens: Int, window: Int)
    case activationsNotFinite(layer: Int)
    case damagedProfile(file: String, reason: String)
    case otherModel(file: String, reason: String)
    /// A matrix was replaced after its neurons were packed.
    case weightsReplaced
    /// An adapter fits whole networks.
    case besideAdapter(name: String)

    public var description: String {
        switch self {
        case .badShare(let name, let value): "\(name) is \(value); expected more than 0, at most 1"
        case .hasExperts(let architecture):
            "core neurons are chosen in dense feed-forward networks; this model of architecture '\(architecture)' has "
                + "experts"
        case .noSuchLayers(let range, let layers):
            "layers \(range.lowerBound)-\(range.upperBound) of a model whose layers are 0-\(layers - 1)"
        case .needsProfile(let mode):
            "choosing by \(mode) needs a profile of this model: make one with 'winnow neurons'"
        case .textTooShort(let tokens, let window):
            "the text has \(tokens) tokens, less than one window of \(window): give more text or a shorter window"
        case .activationsNotFinite(let layer):
            "an activation in layer \(layer) is not finite: are the weights damaged?"
        case .damagedProfile(let file, let reason): "\(file) is no profile of neurons, or damaged: \(reason)"
        case .otherModel(let file, let reason):
            "\(file) is the profile of another model: \(reason); make one of this model with 'winnow neurons'"
        case .besideAdapter(let name):
            "adapter '\(name)' runs beside whole networks, not beside those of core neurons"
        case .weightsReplaced: "the model's weights were replaced after its neurons were chosen: choose again"
        }
    }
}
