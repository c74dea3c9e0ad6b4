import WinnowCore
import WinnowData
import WinnowIO
import WinnowModels
import WinnowWeights

/// Trains a model: batches, gradients, masks, steps of an optimizer, in one fixed order, so that a run is the
/// same whether it was stopped or not.
public final class Trainer {
    public let model: LanguageModel
    public let configuration: TrainingConfiguration
    public let twin: DecoderTwin
    /// What is trained, in the order of the model.
    public let parameters: [ParameterTraining]
    /// The matrices that masks are for, by their place in ``parameters``.
    package let prunable: [Int]
    public internal(set) var optimizer: ModelOptimizer
    /// Steps done.
    public internal(set) var step = 0
    public internal(set) var tokens = 0
    public var data: any BatchSource
    /// Every so many steps a record has ``StepStatistics``, which change nothing else; nil: none has.
    public var statisticsEvery: Int?
    private let updater: (any MaskUpdater)?
    let distillation: Distillation?
    private let pool: KernelPool

    /// - Parameter model: what was not set up by ``Parameter/beginTraining(keepsZeros:on:)`` is frozen.
    /// - Parameter adapter: trained beside, or instead of, the model's own parameters.
    /// - Parameter distillation: what steps lower in place of the cross-entropy alone.
    /// - Parameter memory: of the activations; its limit is kept to.
    /// - Throws: ``TrainingError`` for settings that make no sense, ``OptimizerError``.
    public init(
        _ model: LanguageModel, _ configuration: TrainingConfiguration, data: any BatchSource,
        on pool: KernelPool,
        updater: (any MaskUpdater)? = nil, adapter: LowRankAdapter? = nil,
        distillation: Distillation? = nil, memory: TapeMemory = TapeMemory()
    ) throws {
        try configuration.validate()
        // Gradients of encoders are there, batches with masked tokens are not.
        let feature =
            model.configuration.traits.isCausal
            ? DecoderTwin.untrainable(model.configuration) : "it is an encoder, and predicts no next token"
        if let feature {
            throw ModelError.cannotTrain(architecture: model.configuration.architecture, feature: feature)
        }
        self.model = model
        self.configuration = configuration
        self.data = data
        self.pool = pool
        self.distillation = distillation
        self.updater = updater ?? configuration.pruning?.updater(steps: configuration.steps)
        twin = DecoderTwin(model, on: pool, memory: memory)
        twin.recomputesBlocks = configuration.recompute
        twin.context.precision = configuration.compute
        distillation?.teacher.context.precision = configuration.compute
        parameters = model.parameters.compactMap(\.training) + (adapter?.parameters ?? [])
        adapter?.attach(to: twin)
        guard !parameters.isEmpty else {
            throw TrainingError.nothingToTrain(architecture: model.configuration.architecture)
        }
        let linears = Set(model.blocks.flatMap { $0.linears.map { ObjectIdentifier($0.parameter) } })
        let names = Set(model.parameters.filter { linears.contains(ObjectIdentifier($0)) }.map(\.name))
        prunable = parameters.indices.filter { [parameters] in names.contains(parameters[$0].name) }
        optimizer = try ModelOptimizer(
            configuration.optimizer,
            parameters: parameters.map { ParameterDescription(name: $0.name, shape: $0.shape, mask: $0.mask) }
        )
    }

    public var isDone: Bool { step >= configuration.steps }

    /// Zeros of the prunable matrices, and how many weights they have.
    public var sparsity: (zeros: Int, weights: Int) {
        var (zeros, weights) = (0, 0)
        for index in prunable {
            zeros += parameters[index].mask?.prunedCount ?? 0
            weights += parameters[index].count
        }
        return (zeros, weights)
    }

    /// One step: masks, gradients of all its batches, the optimizer.
    ///
    /// - Throws: ``TrainingError/notFinite(step:what:place:checkpoint:)``, or `TapeMemoryError` where the activations
    ///   find no room: then no weight has changed.
    public func takeStep() throws -> StepRecord {
        let start = ContinuousClock.now
        var batches: [DecoderBatch] = []
        for _ in 0..<configuration.accumulate { batches.append(try data.next()) }
        for batch in batches {
            try twin.context.memory.makeRoom(for: activationBytes(tokens: batch.tokens))
        }
        try updateMasks()
        for parameter in parameters { parameter.clearGradient() }
        let scored = batches.reduce(0) { $0 + $1.scored }
        var loss = 0.0
        for batch in batches {
            let parts =
                try distillation?.losses(twin, batch, scored: max(scored, 1))
                ?? [try twin.loss(batch, dividingBy: max(scored, 1))]
            for part in parts { loss += Double(part.scalar) }
            guard loss.isFinite else {
                throw TrainingError.notFinite(
                    step: step + 1, what: "loss", place: placeOfNaN(batch), checkpoint: nil)
            }
            twin.context.backward(parts)
        }
        let rate = configuration.learningRate.value(at: step, of: configuration.steps)
        let isObserved = statisticsEvery.map { (step + 1) % $0 == 0 } ?? false
        let before =
            try isObserved ? batches.first.map { try StepStatistics.Before(parameters, twin, $0) } : nil
        let norm = optimizer.step(parameters.map(\.slot), rate: rate, pool: pool)
        if let bad = norm.firstNotFinite {
            throw TrainingError.notFinite(
                step: step + 1, what: "gradient", place: parameters[bad].name, checkpoint: nil)
        }
        step += 1
        tokens += batches.reduce(0) { $0 + $1.tokens }
        let zeros = sparsity
        return StepRecord(
            step: step, tokens: tokens, loss: loss, rate: rate, gradientNorm: norm.total,
            seconds: (ContinuousClock.now - start) / .seconds(1),
            sparsity: zeros.zeros > 0 ? Double(zeros.zeros) / Double(zeros.weights) : nil,
            statistics: before?.after(parameters, norm))
    }

    private func updateMasks() throws {
        guard let updater else { return }
        for index in prunable {
            let change = try updater.update(parameters[index], step: step, of: configuration.steps, on: pool)
            guard let change else { continue }
            parameters[index].setMask(change.new)
            optimizer.adopt(change.new, for: index)
        }
    }

    /// Mean negative log-likelihood over batches, without a tape.
    public func evaluate(_ batches: [DecoderBatch], cancellation: CancellationFlag? = nil) throws -> Double {
        var (sum, scored) = (0.0, 0)
        for batch in batches {
            if let cancellation, cancellation.isCancelled { throw ModelError.cancelled }
            let loss = try twin.context.withoutTape { try twin.loss(batch, dividingBy: 1) }
            sum += Double(loss.scalar)
            scored += batch.scored
        }
        return sum / Double(max(scored, 1))
    }

    /// - Throws: ``TrainingError/masksBroken(step:tensor:weights:)`` when a pruned weight is not zero.
    public func verifyMasks() throws(TrainingError) {
        for index in prunable {
            let strayed = parameters[index].strayedWeights
            guard strayed == 0 else {
                throw .masksBroken(step: step, tensor: parameters[index].name, weights: strayed)
            }
        }
    }

    /// The first tensor that holds something that is not finite: a weight, else what a block makes.
    private func placeOfNaN(_ batch: DecoderBatch) -> String {
        for parameter in parameters where parameter.values.contains(where: { !$0.isFinite }) {
            return parameter.name
        }
        var place: String?
        _ = try? twin.context.withoutTape {
            try twin.hidden(batch) { block, states in
                guard place == nil else { return }
                let values = UnsafeBufferPointer(start: states.base, count: states.count)
                if values.contains(where: { !$0.isFinite }) { place = "the output of block \(block)" }
            }
        }
        return place ?? "the logits"
    }
}
