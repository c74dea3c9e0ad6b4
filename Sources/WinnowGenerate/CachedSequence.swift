import WinnowCore
import WinnowModels
import WinnowText

/// A sequence with the ids that it holds: a prompt that begins as the last one did is not computed again.
final class CachedSequence {
    let runner: ModelRunner
    private let sequence: KVSequence
    private var ids: [TokenID] = []

    /// - Parameter capacity: tokens that it can hold; the model's own length at most.
    init(_ runner: ModelRunner, capacity: Int?) {
        self.runner = runner
        let length = runner.model.configuration.contextLength
        sequence = runner.makeSequence(capacity: min(capacity ?? length, length))
    }

    var capacity: Int { sequence.capacity }
    var length: Int { sequence.length }
    var room: Int { sequence.capacity - sequence.length }
    var memoryPlan: MemoryPlan { runner.memoryPlan(tokens: capacity) }

    /// What runs beside the model from here on; another one than before forgets all tokens.
    func use(_ adapter: RunningAdapter?) {
        guard sequence.adapter !== adapter else { return }
        sequence.adapter = adapter
        ids.removeAll()
    }

    /// Keeps what begins `tokens`, and leaves at least one of them to compute.
    ///
    /// - Returns: how many are kept.
    func reuse(_ tokens: [TokenID]) -> Int {
        var common = 0
        while common < min(ids.count, tokens.count - 1), ids[common] == tokens[common] { common += 1 }
        truncate(to: common)
        return ids.count
    }

    /// Forgets the tokens from `length` on; all of them where a window's pages are gone.
    func truncate(to length: Int) {
        let kept = sequence.truncate(to: length)
        ids.removeLast(ids.count - kept)
    }

    /// Adds tokens, in as many steps as they take.
    ///
    /// - Parameter counter: counts the neurons that they use.
    /// - Returns: the logits after the last `rows` of them, `[rows, vocabulary]`; `rows` fit one step.
    /// - Throws: ``ModelError``; the steps that were whole stay.
    func append(
        _ tokens: ArraySlice<TokenID>, logitsOf rows: Int = 1, counting counter: NeuronCounter? = nil,
        cancellation: CancellationFlag?
    ) throws -> UnsafeBufferPointer<Float> {
        let chunk = runner.configuration.chunk
        var rest = tokens
        while rest.count > chunk {
            let part = rest.prefix(min(chunk, rest.count - rows))
            try step(part, counter, cancellation)
            rest = rest.dropFirst(part.count)
        }
        try step(rest, counter, cancellation)
        return try runner.logits(rows: rest.count - rows..<rest.count)
    }

    private func step(
        _ tokens: ArraySlice<TokenID>, _ counter: NeuronCounter?, _ cancellation: CancellationFlag?
    ) throws {
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run(cancellation: cancellation, observer: counter?.observe)
        ids.append(contentsOf: tokens)
    }
}
