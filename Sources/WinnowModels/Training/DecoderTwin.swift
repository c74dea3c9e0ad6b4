import WinnowCore
import WinnowIO
import WinnowWeights

/// The open twin of a decoder or of a text encoder, composed of ops that record a tape: what training runs, and the oracle of the
/// runner.
///
/// A parameter with ``Parameter/training`` is read from its masters and gets a gradient; others are frozen,
/// and run in the format that their file has. Float32 throughout.
public final class DecoderTwin {
    public let model: LanguageModel
    public let context: OpContext
    /// Keeps only the inputs of blocks on the tape, and runs each again on the way back.
    public var recomputesBlocks = false
    /// Leaves columns that a mask prunes whole out of products. Their gradient is then zero, where it would be computed and
    /// zeroed later: a rule that lets weights grow back by their gradient needs false.
    public var skipsPrunedColumns = true
    private let rotary: RotaryTables
    /// Adds what an adapter makes of a linear's input to its output.
    package var adapt:
        ((_ linear: Parameter, _ rows: Range<Int>?, _ input: Variable, _ output: Variable) -> Variable)?

    public init(_ model: LanguageModel, on pool: KernelPool, memory: TapeMemory = TapeMemory()) {
        self.model = model
        context = OpContext(pool, memory: memory)
        rotary = RotaryTables(model.configuration)
    }

    // MARK: The model

    /// Hidden states after the final norm, `[tokens, width]`.
    ///
    /// - Parameter observe: called with every block's output, the last one's after the final norm.
    /// - Throws: ``ModelError`` for an id outside of the vocabulary, or positions that the model does not
    ///   have.
    public func hidden(
        _ batch: DecoderBatch, observe: (_ block: Int, _ states: Variable) -> Void = { _, _ in }
    ) throws(ModelError) -> Variable {
        try check(batch)
        let positions = batch.positions
        var x = embed(batch, positions)
        let last = model.blocks.count - 1
        for (index, block) in model.blocks.enumerated() {
            let places = Places(self, batch, positions, layer: index)
            if recomputesBlocks {
                x = context.recomputed(x) { [unowned self] in run(block, $0, places) }
            } else {
                x = run(block, x, places)
            }
            if index < last { observe(index, x) }
        }
        x = norm(x, model.finalNorm)
        observe(last, x)
        return x
    }

    /// The mean cross-entropy of the batch's targets, times `scale`.
    ///
    /// Of an encoder: states against the embedding, as masked language modelling has it without a head of its own.
    ///
    /// - Parameter count: divide by this instead of the batch's own targets: those of all batches of a step.
    /// - Parameter negativeLogLikelihoods: filled with each token's own, where it is given.
    public func loss(
        _ batch: DecoderBatch, scale: Float = 1, dividingBy count: Int? = nil,
        negativeLogLikelihoods: UnsafeMutableBufferPointer<Double>? = nil
    ) throws(ModelError) -> Variable {
        context.crossEntropy(
            headInput(try hidden(batch)), head: headVariable,
            LossTargets(meanOf: batch.targets, of: count, scale: scale),
            cap: model.configuration.traits.logitCap, negativeLogLikelihoods: negativeLogLikelihoods)
    }

    /// What the head multiplies: states times the scale of logits, where a family has one.
    package func headInput(_ hidden: Variable) -> Variable {
        let scale = model.configuration.traits.logitScale
        return scale == 1 ? hidden : context.scale(hidden, by: scale)
    }

    /// The head's weights; those of the embedding where they are tied.
    public var headVariable: Variable { variable(model.head ?? model.embedding) }

    /// Logits of every token, `[tokens, vocabulary]`, for comparisons: no tape.
    public func logits(_ batch: DecoderBatch) throws(ModelError) -> Tensor {
        let hidden = try context.withoutTape { () throws(ModelError) in try self.hidden(batch) }
        let cap = model.configuration.traits.logitCap
        return context.withoutTape {
            context.softCapped(context.linear(headInput(hidden), headVariable), cap: cap)
        }
        .value
    }

    /// What of a model has no way back here; nil when all of it has.
    package static func untrainable(_ shape: ModelConfiguration) -> String? {
        let traits = shape.traits
        let missing: [(Bool, String)] = [
            (traits.image != nil, "it reads images"),
            (traits.relativeBias != nil, "its scores know distances"),
            (!traits.isCausal && traits.slidingWindow != nil, "it sees a window both ways"),
            (traits.norm == .layer && !traits.hasNormBiases, "its layer norms have no biases"),
            (traits.hasHeadBias, "its head has a bias"),
            (shape.headWidth > 256, "its heads are wider than 256"),
        ]
        return missing.first { $0.0 }?.1
    }

    private func check(_ batch: DecoderBatch) throws(ModelError) {
        let shape = model.configuration
        if let feature = DecoderTwin.untrainable(shape) {
            throw .cannotTrain(architecture: shape.architecture, feature: feature)
        }
        for id in batch.ids where id < 0 || Int(id) >= shape.vocabularySize {
            throw .tokenOutOfRange(id: Int(id), vocabulary: shape.vocabularySize)
        }
        for id in batch.targets where Int(id) >= shape.vocabularySize {
            throw .tokenOutOfRange(id: Int(id), vocabulary: shape.vocabularySize)
        }
        let context = shape.traits.learnedPositions.map { $0.rows - $0.offset } ?? shape.contextLength
        guard batch.length <= context else { throw .promptTooLong(tokens: batch.length, context: context) }
    }

    // MARK: Parts

    private func embed(_ batch: DecoderBatch, _ positions: [Int32]) -> Variable {
        let traits = model.configuration.traits
        let x = context.embedding(variable(model.embedding), ids: batch.ids, scale: traits.embeddingScale)
        var sum = x
        if let table = model.positions, let learned = traits.learnedPositions {
            sum = context.embedding(
                variable(table), ids: positions.map { $0 + Int32(learned.offset) }, addedTo: sum)
        }
        if let types = model.embeddingParts.tokenTypes {
            sum = context.embedding(
                variable(types), ids: [Int32](repeating: 0, count: batch.tokens), addedTo: sum)
        }
        return norm(sum, model.embeddingParts.norm)
    }

    /// What attention of one layer must know of the batch.
    private struct Places {
        let shape: AttentionShape
        let rotary: RotaryPositions?

        init(_ twin: DecoderTwin, _ batch: DecoderBatch, _ positions: [Int32], layer: Int) {
            let configuration = twin.model.configuration
            let traits = configuration.traits
            let own = configuration.shape(ofLayer: layer)
            var shape = AttentionShape(
                sequences: batch.sequences, length: batch.length, heads: own.heads,
                keyValueHeads: own.keyValueHeads, headWidth: configuration.headWidth)
            shape.scale = traits.attentionScale
            shape.cap = traits.attentionCap
            shape.window = traits.window(ofLayer: layer)
            shape.starts = batch.starts
            if !traits.isCausal {
                shape.ends = batch.ends ?? [Int32](repeating: Int32(batch.length), count: batch.tokens)
            }
            self.shape = shape
            guard traits.learnedPositions == nil else {
                rotary = nil
                return
            }
            let width = configuration.rope.width(ofHead: configuration.headWidth)
            let table = twin.rotary.rows(batch.length, layer: layer, capacity: batch.length)
            rotary = RotaryPositions(
                table: Array(
                    UnsafeBufferPointer(start: table, count: batch.length * width)),
                positions: positions, headWidth: configuration.headWidth, rotaryWidth: width,
                isInterleaved: configuration.rotaryStyle == .interleaved)
        }
    }

    private func run(_ block: TransformerBlock, _ x: Variable, _ places: Places) -> Variable {
        let attention = block.attention
        let isBefore = block.normPlacement == .before
        let input = isBefore ? norm(x, block.attentionNorm) : x
        var query = linear(input, attention.query)
        var key = linear(input, attention.key)
        let value = linear(input, attention.value)
        if let queryNorm = attention.queryNorm { query = norm(query, queryNorm) }
        if let keyNorm = attention.keyNorm { key = norm(key, keyNorm) }
        if let rotary = places.rotary {
            query = context.rope(query, rotary)
            key = context.rope(key, rotary)
        }
        let heads = context.attention(query, key, value, places.shape)
        var middle = join(x, heads, attention.output, block.postAttentionNorm)
        if !isBefore { middle = norm(middle, block.attentionNorm) }

        // Branches side by side read the same x, perhaps through the same norm.
        let traits = model.configuration.traits
        let inner =
            traits.sharesBranchNorm && block.feedForwardNorm == nil
            ? input
            : !isBefore ? middle : norm(traits.isParallel ? x : middle, block.feedForwardNorm)
        if let experts = block.mixture { return mix(inner, experts, addedTo: middle) }
        guard let feedForward = block.feedForward else { return middle }
        let out = join(middle, gated(inner, feedForward), feedForward.down, block.postFeedForwardNorm)
        return isBefore ? out : norm(out, block.feedForwardNorm)
    }

    /// act(gate x) * up x, or act(up x).
    func gated(_ x: Variable, _ feedForward: FeedForward) -> Variable {
        let kind = feedForward.activation.gateKind
        let up = linear(x, feedForward.up)
        guard let gate = feedForward.gate else { return context.gate(kind, up) }
        return context.gate(kind, linear(x, gate), times: up)
    }

    /// Adds a branch's output to the residual, through a norm of its own where there is one.
    private func join(_ x: Variable, _ branch: Variable, _ output: Linear, _ own: Norm?) -> Variable {
        let scale = model.configuration.traits.residualScale
        guard own != nil || scale != 1 else { return linear(branch, output, residual: x) }
        return context.add(x, norm(linear(branch, output), own), scale: scale)
    }

    private func norm(_ x: Variable, _ norm: Norm?) -> Variable {
        guard let norm else { return x }
        let weight = variable(norm.weight)
        guard let bias = norm.bias else {
            return context.rmsNorm(x, weight, epsilon: norm.epsilon, offset: norm.offset)
        }
        return context.layerNorm(x, weight, bias: variable(bias), epsilon: norm.epsilon)
    }

    func linear(_ x: Variable, _ linear: Linear, residual: Variable? = nil) -> Variable {
        let bias = linear.bias.map(variable)
        let output: Variable
        if let training = linear.weight.training, let columns = training.keptColumns, skipsPrunedColumns {
            output = context.linear(
                x, training.variable, bias: bias, rows: linear.rows, residual: residual, columns: columns)
        } else if let training = linear.weight.training {
            output = context.linear(x, training.variable, bias: bias, rows: linear.rows, residual: residual)
        } else {
            output = context.linear(
                x, linear.weight.matrix, bias: bias, rows: linear.rows, residual: residual)
        }
        guard let adapt else { return output }
        return adapt(linear.weight, linear.rows, x, output)
    }

    /// A parameter as a variable: its masters, or its value multiplied out.
    private func variable(_ parameter: Parameter) -> Variable {
        if let training = parameter.training { return training.variable }
        if let kept = frozen[ObjectIdentifier(parameter)], kept.version == parameter.version {
            return kept.value
        }
        let value: Variable
        switch parameter.value {
        case .vector(let vector): value = Variable(Tensor(vector.floats() ?? [], shape: vector.shape))
        case .matrix(let matrix):
            value = Variable(Tensor(matrix.floats(on: context.pool), shape: [matrix.rows, matrix.columns]))
        }
        frozen[ObjectIdentifier(parameter)] = (parameter.version, value)
        return value
    }

    /// Frozen vectors and embeddings, multiplied out once.
    private var frozen: [ObjectIdentifier: (version: Int, value: Variable)] = [:]
}

extension DecoderTraits.Activation {
    var gateKind: GateKind {
        switch self {
        case .silu: .silu
        case .geluTanh: .gelu
        case .relu: .relu
        case .gelu: .exactGELU
        }
    }
}

extension LanguageModel {
    /// Every parameter, in checkpoint order.
    public var parameters: [Parameter] {
        var all: [Parameter] = []
        visit { all.append($0) }
        return all
    }
}
