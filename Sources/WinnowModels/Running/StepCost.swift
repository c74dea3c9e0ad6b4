import WinnowCore
import WinnowIO
import WinnowWeights

/// What a stage of a step moves and computes: counted from shapes, not measured.
public struct StepCost: Sendable, Equatable {
    /// Weights as stored and cached keys and values, each read once, and activations in float32, each read and written
    /// once.
    public var bytes = 0.0
    /// Multiplications and additions in float32 and in int8. Pruned weights count, and inputs of two planes twice
    /// (``ProductCost``).
    public var f32Operations = 0.0
    public var int8Operations = 0.0

    public init(bytes: Double = 0, f32Operations: Double = 0, int8Operations: Double = 0) {
        self.bytes = bytes
        self.f32Operations = f32Operations
        self.int8Operations = int8Operations
    }

    public var operations: Double { f32Operations + int8Operations }

    public static func + (a: StepCost, b: StepCost) -> StepCost {
        StepCost(
            bytes: a.bytes + b.bytes, f32Operations: a.f32Operations + b.f32Operations,
            int8Operations: a.int8Operations + b.int8Operations)
    }

    public static func * (a: StepCost, factor: Double) -> StepCost {
        StepCost(
            bytes: a.bytes * factor, f32Operations: a.f32Operations * factor,
            int8Operations: a.int8Operations * factor)
    }

    /// Where a stage that took so long stands: its arithmetic share is the time that its operations need at the peaks of
    /// their kinds over the time that it took.
    public func standing(
        seconds: Double, bandwidth: Double, f32Peak: Double, int8Peak: Double
    ) -> Roofline.Standing {
        guard seconds > 0, bandwidth > 0, f32Peak > 0, int8Peak > 0 else {
            return Roofline.Standing(memoryShare: 0, arithmeticShare: 0)
        }
        return Roofline.Standing(
            memoryShare: bytes / bandwidth / seconds,
            arithmeticShare: (f32Operations / f32Peak + int8Operations / int8Peak) / seconds)
    }
}

extension StepCost {
    /// A product's weights and arithmetic; its inputs and outputs are counted by the stage.
    fileprivate init(_ linear: Linear, tokens: Int, mode: ActivationMode) {
        let matrix = linear.weight.matrix
        let whole = ProductCost(matrix, tokens: tokens, mode: mode, rows: linear.outputs)
        self.init(bytes: Double(matrix.byteCount) * Double(linear.outputs) / Double(matrix.rows))
        if whole.arithmetic == .int8 {
            int8Operations = whole.operations
        } else {
            f32Operations = whole.operations
        }
    }

    fileprivate static func floats(_ count: Int) -> StepCost { StepCost(bytes: 4 * Double(count)) }
}

/// Counts the stages of a step of `tokens` rows of one sequence.
public struct StepCounter {
    let model: LanguageModel
    let mode: ActivationMode
    let kvType: KVType
    /// Rows of the step.
    let tokens: Int
    /// Positions of the sequence before it.
    let position: Int

    public init(
        _ model: LanguageModel, activations: ActivationMode, kvType: KVType, tokens: Int, after position: Int
    ) {
        self.model = model
        mode = activations
        self.kvType = kvType
        self.tokens = tokens
        self.position = position
    }

    /// - Parameter block: nil: outside of the blocks; the logits are those of one row.
    public func cost(_ stage: StepClock.Stage, block: Int?) -> StepCost {
        guard let block else {
            switch stage {
            case .embedding:
                let table = model.embedding.matrix
                return StepCost(bytes: Double(table.byteCount) / Double(table.rows) * Double(tokens))
                    + .floats(tokens * table.columns)
            case .head where model.hasHead:
                return StepCost(Linear(model.head ?? model.embedding), tokens: 1, mode: mode)
                    + .floats(model.configuration.width + model.headMatrix.rows)
            default: return StepCost()
            }
        }
        let attention = model.blocks[block].attention
        let shape = model.configuration.shape(ofLayer: block)
        let headWidth = model.configuration.headWidth
        let width = model.configuration.width
        let queries = tokens * shape.heads * headWidth
        let keys = tokens * shape.keyValueHeads * headWidth
        switch stage {
        case .embedding, .head: return StepCost()
        case .inputs:
            let hidden = model.blocks[block].feedForward?.down.weight.matrix.columns ?? 0
            // Two norms of about four operations a value; scaling and rounding are two for what other products read.
            let moved = 2 * tokens * width + queries + tokens * hidden
            return StepCost(
                bytes: 8 * Double(moved), f32Operations: Double(2 * moved + 4 * tokens * width))
        case .queryKeyValue:
            return product(
                [attention.query, attention.key, attention.value], inputs: tokens * width,
                outputs: queries + 2 * keys)
        case .positions:
            // Queries and keys are turned in place; values only go to their pages.
            let stored = 2 * tokens * shape.keyValueHeads * kvType.slotBytes(headWidth: headWidth)
            let turns = model.configuration.traits.learnedPositions == nil
            return StepCost(
                bytes: Double(8 * (turns ? queries + keys : 0) + 4 * 2 * keys + stored),
                f32Operations: turns ? 3 * Double(queries + keys) : 0)
        case .attention:
            let slots = visible(block)
            let read = 2 * slots.distinct * shape.keyValueHeads * kvType.slotBytes(headWidth: headWidth)
            return StepCost(
                bytes: Double(read), f32Operations: 4 * Double(slots.pairs) * Double(shape.heads * headWidth))
                + .floats(2 * queries)
        case .attentionOutput:
            return product([attention.output], inputs: queries, outputs: tokens * width)
        case .router, .gateUp, .down: return feedForward(stage, model.blocks[block])
        }
    }

    private func product(_ linears: [Linear], inputs: Int, outputs: Int) -> StepCost {
        linears.reduce(.floats(inputs + outputs)) { $0 + StepCost($1, tokens: tokens, mode: mode) }
    }

    private func feedForward(_ stage: StepClock.Stage, _ block: TransformerBlock) -> StepCost {
        let width = model.configuration.width
        if let network = block.feedForward {
            return stage == .router ? StepCost() : network.cost(stage, width, tokens, mode)
        }
        guard let mixture = block.mixture else { return StepCost() }
        var cost = StepCost()
        if stage == .router {
            let linears = [mixture.router, mixture.sharedRouter].compactMap(\.self).map { Linear($0) }
            cost = product(
                linears, inputs: tokens * width, outputs: tokens * linears.reduce(0) { $0 + $1.outputs })
        }
        if let shared = mixture.shared, stage != .gateUp {
            cost = cost + shared.cost(stage == .router ? .gateUp : .down, width, tokens, mode)
        }
        guard stage != .router else { return cost }
        // Tokens go to so many experts each; how many different ones, routing decides: at most this many.
        let pairs = tokens * mixture.choice.used
        let read = min(mixture.experts.count, pairs)
        let each = pairs / read
        return cost + mixture.experts[0].cost(stage, width, each, mode) * Double(read)
            + mixture.experts[0].cost(stage, width, 1, mode, weights: false) * Double(pairs - each * read)
    }

    /// Pairs of a query and a key that it sees, and the different keys among them.
    private func visible(_ block: Int) -> (pairs: Int, distinct: Int) {
        let traits = model.configuration.traits
        let end = position + tokens
        guard traits.isCausal else { return (tokens * end, end) }
        let window = traits.window(ofLayer: block) ?? .max
        var pairs = 0
        for index in position..<end { pairs += min(index + 1, window) }
        let first = window == .max ? 0 : max(0, position + 1 - window)
        return (pairs, end - first)
    }
}

extension FeedForward {
    /// - Parameter weights: whether they are read for these tokens, or were read for others.
    fileprivate func cost(
        _ stage: StepClock.Stage, _ width: Int, _ tokens: Int, _ mode: ActivationMode, weights: Bool = true
    ) -> StepCost {
        let hidden = down.weight.matrix.columns
        let linears = stage == .down ? [down] : [gate, up].compactMap(\.self)
        var cost = StepCost.floats(tokens * (width + hidden))
        for linear in linears {
            var own = StepCost(linear, tokens: tokens, mode: mode)
            if !weights { own.bytes = 0 }
            cost = cost + own
        }
        return cost
    }
}
