import WinnowCore
import WinnowModels
import WinnowText
import WinnowWeights

/// A ``SequentialPruner`` at work: the hidden states of all calibration tokens and where the walk stands.
final class Walk {
    private let pruner: SequentialPruner
    private let model: LanguageModel
    private let cancellation: CancellationFlag?
    private let pool: KernelPool
    /// nil when the method looks at no activations.
    private let runner: ModelRunner?
    private let windowCount: Int
    private let length: Int
    /// `[windows * length, width]`: what the next block reads.
    private var hidden = Buffer<Float>(count: 0)
    /// Where a selection over the whole model ends; carried from layer to layer.
    private var threshold: SelectionThreshold?
    private var layersDone: UInt64 = 0

    init(
        _ pruner: SequentialPruner, _ model: LanguageModel, _ windows: [[TokenID]],
        _ cancellation: CancellationFlag?
    ) throws {
        self.pruner = pruner
        self.model = model
        self.cancellation = cancellation
        let length = windows.first?.count ?? 0
        guard !pruner.method.statistics.isEmpty else {
            runner = nil
            pool = try KernelPool(threads: pruner.threads)
            windowCount = 0
            self.length = 0
            threshold = try Walk.globalThreshold(pruner, model, on: pool)
            return
        }
        guard length > 0 else { throw PruningError.needsCalibration(method: type(of: pruner.method).name) }
        guard length <= model.configuration.contextLength else {
            throw PruningError.windowTooLong(tokens: length, context: model.configuration.contextLength)
        }
        for (index, window) in windows.enumerated() where window.count != length {
            throw PruningError.unevenWindows(index: index, tokens: window.count, expected: length)
        }
        let runner = try ModelRunner(model, pruner.runnerConfiguration(length: length))
        self.runner = runner
        pool = runner.pool
        windowCount = windows.count
        self.length = length
        let width = model.configuration.width
        hidden = Buffer(count: windows.count * length * width)
        for (index, window) in windows.enumerated() {
            try runner.embed(window, into: hidden.base + index * length * width)
        }
    }

    func checkCancellation() throws {
        if let cancellation, cancellation.isCancelled { throw PruningError.cancelled }
    }

    /// Channels at each tap point of a block.
    static func tapWidths(_ block: TransformerBlock) -> [TapPoint: Int] {
        var widths: [TapPoint: Int] = [:]
        for linear in block.linears { widths[linear.input] = linear.parameter.matrix.columns }
        return widths
    }

    /// Statistics of the block's inputs, before any of it is pruned.
    func observe(_ block: Int) throws -> [TapPoint: ActivationStatistics] {
        let request = pruner.method.statistics
        var statistics = Walk.tapWidths(model.blocks[block]).mapValues { ActivationStatistics(width: $0, request) }
        guard let runner else { return statistics }
        try hidden.withMutableElements { hidden in
            try runner.runBlock(
                block, hidden: hidden, windows: windowCount, length: length,
                observer: { [pool] values in statistics[values.point]!.add(values, on: pool) },
                keepsInput: true, cancellation: cancellation)
        }
        for linear in model.blocks[block].linears {
            if statistics[linear.input]!.count == 0 {
                throw PruningError.expertUnseen(layer: linear.parameter.name)
            }
            guard let channel = statistics[linear.input]!.firstNotFinite else { continue }
            throw PruningError.activationsNotFinite(layer: linear.parameter.name, channel: channel)
        }
        return statistics
    }

    /// Prunes one layer and puts the packed matrix in its place.
    func prune(
        _ layer: PrunableLayers.Layer, _ statistics: ActivationStatistics
    ) throws -> LayerReport {
        var weights = LinearWeights(name: layer.name, matrix: layer.parameter.matrix, on: pool)
        var target = LayerTarget(
            goal: pruner.method.goal, seed: pruner.seed &+ layersDone, threshold: threshold)
        layersDone += 1
        var report = try pruner.method.apply(to: &weights, target: &target, statistics: statistics)
        threshold = target.threshold
        guard let mask = weights.mask else { return report }
        let packed = try pruner.store.store(weights.matrix, mask, on: pool, name: layer.name)
        layer.parameter.replace(with: packed)
        report.format = packed.format.name
        report.bytes = packed.byteCount
        report.zeros = packed.zeros(on: pool)
        report.maskSHA256 = mask.sha256(rowOrder: model.configuration.writtenRowOrder(of: layer.name))
        return report
    }

    /// Runs the pruned block over all windows: its outputs are the next block's inputs.
    func advance(_ block: Int) throws {
        guard let runner else { return }
        try hidden.withMutableElements { hidden in
            try runner.runBlock(
                block, hidden: hidden, windows: windowCount, length: length, cancellation: cancellation)
        }
    }

    /// Where the smallest weights of all layers end; nil for goals of another scope.
    private static func globalThreshold(
        _ pruner: SequentialPruner, _ model: LanguageModel, on pool: KernelPool
    ) throws -> SelectionThreshold? {
        let goal = pruner.method.goal
        guard goal.pattern == .unstructured, goal.scope == .global else { return nil }
        guard let method = pruner.method as? any WeightScoringMethod else {
            throw ConfigurationError.globalNeedsWeightScore(method: type(of: pruner.method).name)
        }
        let layers = PrunableLayers(model)
        func scores(_ score: some SaliencyScore) -> [ScoredRows] {
            layers.layers.map {
                LinearWeights(name: $0.name, matrix: $0.parameter.matrix, on: pool).scoredRows(score)
            }
        }
        return try MaskSelector(on: pool).threshold(
            over: scores(method.score), pruning: goal.pruned(of: layers.weightCount))
    }
}
