/// Why a run does not start, go on, or end well.
public enum TrainingError: Error, Equatable, Sendable, CustomStringConvertible {
    case badValue(key: String, value: String, expected: String)
    case unknownKey(place: String, key: String, known: [String])
    case badRecipe(file: String, reason: String)
    case nothingToTrain(architecture: String)
    case notFinite(step: Int, what: String, place: String, checkpoint: String?)
    case masksBroken(step: Int, tensor: String, weights: Int)
    case otherRun(folder: String, what: String)
    case damagedCheckpoint(folder: String, reason: String)

    public var description: String {
        switch self {
        case .badValue(let key, let value, let expected): "\(key) is \(value); expected \(expected)"
        case .unknownKey(let place, let key, let known):
            "no key '\(key)' in \(place); there are \(known.joined(separator: ", "))"
        case .badRecipe(let file, let reason): "\(file) is no recipe: \(reason)"
        case .nothingToTrain(let architecture):
            "nothing of this model of architecture '\(architecture)' is trained: it has no parameter with masters, "
                + "and no adapter"
        case .notFinite(let step, let what, let place, let checkpoint):
            "step \(step): the \(what) is not a number, first seen in \(place); "
                + (checkpoint.map { "\($0) is as it was: go on from it with a lower learning rate" }
                    ?? "no checkpoint was written yet: use a lower learning rate")
        case .masksBroken(let step, let tensor, let weights):
            "step \(step): \(weights) pruned weights of \(tensor) are not zero"
        case .otherRun(let folder, let what):
            "\(folder) is a checkpoint of another run (\(what)); use --overwrite to start anew, or another --output"
        case .damagedCheckpoint(let folder, let reason):
            "\(folder): \(reason); remove this folder to go on from the checkpoint before it"
        }
    }
}
