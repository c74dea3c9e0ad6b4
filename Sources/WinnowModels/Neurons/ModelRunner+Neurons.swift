import WinnowCore
import WinnowText

extension ModelRunner {
    /// Adds tokens to a sequence, in as many steps as they take, and counts the neurons that they use.
    ///
    /// - Throws: ``ModelError``; the steps that were whole stay.
    public func read(
        _ tokens: ArraySlice<TokenID>, into sequence: KVSequence, counting counter: NeuronCounter,
        cancellation: CancellationFlag? = nil
    ) throws {
        try read(tokens, into: sequence, cancellation: cancellation, observer: counter.observe)
    }

    /// The same with an observer of every block's tap points.
    public func read(
        _ tokens: ArraySlice<TokenID>, into sequence: KVSequence, cancellation: CancellationFlag? = nil,
        observer: ((Int, TapValues) -> Void)? = nil
    ) throws {
        var rest = tokens
        while !rest.isEmpty {
            let part = rest.prefix(configuration.chunk)
            begin()
            try part.withUnsafeBufferPointer { try append($0, to: sequence) }
            try run(cancellation: cancellation, observer: observer)
            rest = rest.dropFirst(part.count)
        }
    }

    /// Copies a plan's neurons into networks of their own.
    ///
    /// - Throws: ``WeightError`` for a matrix that can't be multiplied out.
    public func pack(_ plan: NeuronPlan) throws -> PackedNeurons {
        precondition(
            plan.layers.count == blocks.count, "a plan of \(plan.layers.count) blocks of \(blocks.count)")
        try bindIfChanged()
        return try PackedNeurons(plan, self)
    }

    /// Runs the packed networks in place of the whole ones from the next step on; nil: the whole ones again.
    ///
    /// They stay in place until the next call, or until a parameter is replaced.
    ///
    /// - Throws: ``NeuronError/weightsReplaced`` when that happened after they were packed.
    public func use(_ packed: PackedNeurons?) throws(NeuronError) {
        if let packed, packed.version != boundVersion { throw .weightsReplaced }
        for network in neurons?.networks ?? [] { blocks[network.block].feedForward = network.whole }
        neurons = packed
        for network in packed?.networks ?? [] { blocks[network.block].feedForward = network.packed }
    }
}

/// The feed-forward networks of some blocks with a plan's neurons alone, ready to run.
///
/// A neuron is a row of gate and of up and a column of down. Rows are copied as they are stored. Columns of float and
/// int8 matrices are too; other formats pack columns in blocks, and what is left of those is rounded to Q8_0 once.
public final class PackedNeurons {
    struct Network {
        let block: Int
        let whole: BoundFeedForward
        let packed: BoundFeedForward
    }

    public let plan: NeuronPlan
    let networks: [Network]
    /// The runner's when they were packed.
    let version: Int
    /// Bytes of the copies.
    public let byteCount: Int
    /// Bytes of the networks that they stand for.
    public let wholeByteCount: Int
    private let arena: Workspace

    fileprivate init(_ plan: NeuronPlan, _ runner: ModelRunner) throws {
        let mode = runner.configuration.activations
        let arena = Workspace()
        var parts: [(block: Int, whole: BoundFeedForward, small: FeedForward)] = []
        var bytes = (packed: 0, whole: 0)
        for (block, set) in plan.layers.enumerated() {
            guard let set, !set.isAll, let network = runner.model.blocks[block].feedForward,
                let bound = runner.wholeFeedForward(block)
            else { continue }
            let small = try network.keeping(set, on: runner.pool)
            bytes.packed += small.byteCount
            bytes.whole += network.byteCount
            parts.append((block, bound, small))
        }
        let inputs = InputSet.Plan(
            for: parts.map(\.small.down.weight.matrix), mode: mode, capacity: runner.configuration.chunk,
            in: arena)
        arena.commit()
        let hidden = InputSet(inputs, in: arena)
        networks = parts.map { part in
            Network(
                block: part.block, whole: part.whole,
                packed: BoundFeedForward(
                    part.small, mode: mode, joining: part.whole.isJoining, in: runner.space,
                    hiddenInputs: hidden))
        }
        self.plan = plan
        self.arena = arena
        version = runner.boundVersion
        byteCount = bytes.packed
        wholeByteCount = bytes.whole
    }
}

extension ModelRunner {
    /// A block's network with all neurons, whichever is in use.
    fileprivate func wholeFeedForward(_ block: Int) -> BoundFeedForward? {
        neurons?.networks.first { $0.block == block }?.whole ?? blocks[block].feedForward
    }
}
