import WinnowJSON
import WinnowModels

/// Where training takes its batches from, one after another, without end.
public protocol BatchSource {
    /// What the batches come from, for reports and for telling runs apart.
    var fingerprint: String { get }
    /// Tokens of one batch.
    var tokensPerBatch: Int { get }
    mutating func next() throws -> DecoderBatch
    /// Where it stands: enough to go on with the same batches.
    var position: JSONValue { get }
    /// - Returns: false for a position that is none of its own.
    mutating func seek(_ position: JSONValue) -> Bool
}
