import WinnowJSON
import WinnowModels

/// What dropping made of a model.
public struct StructureReport: Sendable {
    public let structure: Structure
    public let fraction: Double
    /// Of each neuron, or head of keys and values, block by block; of each block its influence.
    public let scores: [[Double]]
    /// Neurons, or heads of queries, that each block has left; the numbers of the blocks that are left.
    public let kept: [Int]
    /// Weights of the blocks' matrices, before and after.
    public let weightsBefore: Int
    public let weights: Int
    /// Bytes of all of the model as stored, before and after.
    public let bytesBefore: Int
    public let bytes: Int

    init(
        structure: Structure, fraction: Double, scores: [[Double]], kept: [Int], before: LanguageModel,
        after: LanguageModel
    ) {
        self.structure = structure
        self.fraction = fraction
        self.scores = scores
        self.kept = kept
        weightsBefore = PrunableLayers(before).layers.reduce(0) { $0 + $1.count }
        weights = PrunableLayers(after).layers.reduce(0) { $0 + $1.count }
        bytesBefore = before.byteCount
        bytes = after.byteCount
    }

    /// The record that is kept beside the model.
    public var json: JSONObject {
        JSONObject([
            ("structure", .string(structure.rawValue)), ("fraction", .number(fraction)),
            ("kept", .array(kept.map { .integer(Int64($0)) })),
            ("scores", .array(scores.map { .array($0.map { .number($0) }) })),
            ("weights", .integer(Int64(weights))), ("weightsBefore", .integer(Int64(weightsBefore))),
        ])
    }
}
