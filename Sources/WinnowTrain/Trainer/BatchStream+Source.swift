import WinnowData
import WinnowJSON
import WinnowModels

/// A ``BatchStream`` as training takes it.
public struct StreamedBatches: BatchSource {
    private var stream: BatchStream
    public let fingerprint: String

    /// - Parameter fingerprint: what tells its data from others.
    public init(_ stream: BatchStream, fingerprint: String) {
        self.stream = stream
        self.fingerprint = fingerprint
    }

    public var tokensPerBatch: Int { stream.batch * stream.plan.length }

    public mutating func next() -> DecoderBatch { DecoderBatch(stream.next()) }

    /// All windows in order: for evaluation.
    public func inOrder(most: Int? = nil) -> [DecoderBatch] {
        var batches: [DecoderBatch] = []
        stream.inOrder { batch in
            if most == nil || batches.count < most! { batches.append(DecoderBatch(batch)) }
        }
        return batches
    }

    public var position: JSONValue {
        ["epoch": .integer(Int64(stream.position.epoch)), "window": .integer(Int64(stream.position.window))]
    }

    public mutating func seek(_ position: JSONValue) -> Bool {
        guard let epoch = position["epoch"]?.integer, let window = position["window"]?.integer, epoch >= 0,
            window >= 0
        else { return false }
        stream = BatchStream(
            stream.dataset, plan: stream.plan, batch: stream.batch, seed: stream.seed,
            isShuffled: stream.isShuffled,
            position: DataPosition(epoch: epoch, window: window))
        return true
    }
}

extension DecoderBatch {
    /// Windows of documents: attention stays inside each, and what is not learned is not scored.
    public init(_ batch: TokenBatch) {
        var starts: [Int32] = []
        starts.reserveCapacity(batch.ids.count)
        for place in batch.ids.indices {
            // Padding sees itself.
            let back = batch.segments[place] < 0 ? 0 : batch.positions[place]
            starts.append(Int32(place % batch.length) - back)
        }
        self.init(
            sequences: batch.batch, length: batch.length, ids: batch.ids,
            targets: zip(batch.targets, batch.weights).map { $1 == 0 ? -1 : $0 },
            starts: starts.contains { $0 != 0 } ? starts : nil)
    }
}
