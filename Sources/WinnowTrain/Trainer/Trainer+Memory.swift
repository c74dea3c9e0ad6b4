import WinnowCore
import WinnowIO
import WinnowModels

extension Trainer {
    /// What a step holds at its peak.
    public var memoryPlan: MemoryPlan {
        var plan = MemoryPlan()
        let trained = parameters.reduce(0) { $0 + $1.count }
        plan.add("masters and gradients", bytes: trained * 8)
        plan.add("the optimizer's state", bytes: optimizer.byteCount)
        plan.add("the model as stored", bytes: model.byteCount)
        plan.add("activations", bytes: activationBytes(tokens: configuration.batch * configuration.length))
        // What is frozen and looked up by rows, or multiplied with as a head.
        let frozen = [model.embedding, model.positions, model.head].compactMap { $0 }.filter {
            $0.training == nil
        }
        plan.add("frozen embeddings in float32", bytes: frozen.reduce(0) { $0 + $1.matrix.count * 4 })
        return plan
    }

    /// What training all of a model holds at most, before anything is set up: two moments for each weight.
    public static func memoryPlan(for model: LanguageModel, _ configuration: TrainingConfiguration)
        -> MemoryPlan
    {
        var plan = MemoryPlan()
        let weights = model.parameters.reduce(0) { sum, parameter in
            switch parameter.value {
            case .matrix(let matrix): sum + matrix.count
            case .vector(let vector): sum + vector.count
            }
        }
        plan.add("masters, gradients and moments", bytes: weights * 16)
        plan.add("the model as stored", bytes: model.byteCount)
        plan.add(
            "activations",
            bytes: activationBytes(
                model.configuration, tokens: configuration.batch * configuration.length,
                recomputes: configuration.recompute))
        return plan
    }

    /// What a batch of so many tokens holds on the tape at its peak, at most.
    func activationBytes(tokens: Int) -> Int {
        let own = Trainer.activationBytes(
            model.configuration, tokens: tokens, recomputes: configuration.recompute)
        // Columns that are gathered: of weights until their way back, of an input's gradient at one linear at a time.
        let columns = parameters.compactMap { parameter in
            parameter.keptColumns.map { (weights: parameter.rows * $0.count, width: $0.count) }
        }
        let gathered = columns.reduce(0) { $0 + $1.weights } + tokens * (columns.map(\.width).max() ?? 0)
        return own + 4 * gathered + (distillation?.activationBytes(tokens: tokens) ?? 0)
    }

    /// Values that the tape keeps, and what a block's way back holds beside them.
    private static func activationBytes(_ shape: ModelConfiguration, tokens: Int, recomputes: Bool) -> Int {
        let widest = shape.widestLayer
        let queries = widest.heads * shape.headWidth
        let keys = widest.keyValueHeads * shape.headWidth
        var block = 4 * shape.width + 2 * queries + 2 * keys
        // Of experts each token runs some: their inputs, their outputs, what stands between.
        let experts = shape.traits.experts.map {
            $0.used * (3 * $0.width + 2 * shape.width + 1) + 3 * $0.sharedWidth + 3 * shape.width + 2
                * $0.count
        }
        let dense = (shape.traits.isGated ? 3 : 2) * widest.feedForwardWidth
        block += max(dense, experts ?? 0)
        if shape.traits.residualScale != 1 { block += 2 * shape.width }
        if shape.traits.hasSandwichNorms { block += 4 * shape.width }
        let backward =
            max(3 * widest.feedForwardWidth, 2 * (experts ?? 0)) + 6 * shape.width + 2 * queries + 4 * keys
        let blocks = recomputes ? shape.layers * shape.width + block : shape.layers * block
        let rows = min(256, tokens)
        let head = (rows + shape.width) * shape.vocabularySize + 2 * tokens * shape.width
        return 4 * (tokens * (blocks + backward + shape.width) + head)
    }
}
