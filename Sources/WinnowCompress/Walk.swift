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
    /// What each layer is to become, under its key.
    private var goals: [String: SparsityGoal] = [:]
    /// Matrices of the block as they were before a method changed it as a whole.
    private var given: [String: WeightMatrix] = [:]

    init(
        _ pruner: SequentialPruner, _ model: LanguageModel, _ layers: PrunableLayers, _ windows: [[TokenID]],
        _ cancellation: CancellationFlag?
    ) throws {
        self.pruner = pruner
        self.model = model
        self.cancellation = cancellation
        let length = windows.first?.count ?? 0
        guard pruner.needsCalibration else {
            runner = nil
            pool = try KernelPool(threads: pruner.threads)
            windowCount = 0
            self.length = 0
            threshold = try Walk.globalThreshold(pruner, layers, on: pool)
            goals = try pruner.allocation.goals(for: layers, pruner.method.goal) { [] }
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
        hidden = Buffer(count: windows.count * length * model.configuration.width)
        threshold = try Walk.globalThreshold(pruner, layers, on: pool)
        goals = try pruner.allocation.goals(for: layers, pruner.method.goal) {
            try embed(windows)
            return try outlierRatios()
        }
        try embed(windows)
    }

    private func embed(_ windows: [[TokenID]]) throws {
        guard let runner else { return }
        let width = model.configuration.width
        for (index, window) in windows.enumerated() {
            try runner.embed(window, into: hidden.base + index * length * width)
        }
    }

    /// For each block of the model as it is: the share of its Wanda scores that are more than so many times their mean.
    ///
    /// One pass over the model; the hidden states are spent.
    private func outlierRatios() throws -> [Double] {
        guard let runner, case .outliers(let threshold, _) = pruner.allocation else { return [] }
        return try model.blocks.indices.map { block in
            try checkCancellation()
            var statistics = Walk.tapWidths(model.blocks[block]).mapValues {
                ActivationStatistics(width: $0, .squares)
            }
            try hidden.withMutableElements { hidden in
                try runner.runBlock(
                    block, hidden: hidden, windows: windowCount, length: length,
                    observer: { [pool] values in statistics[values.point]!.add(values, on: pool) },
                    cancellation: cancellation)
            }
            let scores = try model.blocks[block].linears.map { linear in
                try checkFinite(statistics[linear.input]!, linear.parameter.name)
                return try LinearWeights(
                    name: linear.parameter.name, matrix: linear.parameter.matrix, on: pool
                )
                .scoredRows(WandaScore(columnNorms: statistics[linear.input]!.columnNorms))
            }
            return try OutlierRatio.of(scores, above: threshold, on: pool)
        }
    }

    private func checkFinite(_ statistics: ActivationStatistics, _ layer: String) throws(PruningError) {
        guard let channel = statistics.firstNotFinite else { return }
        throw PruningError.activationsNotFinite(layer: layer, channel: channel)
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

    /// Statistics of the block's inputs at these points, of the block as it is now.
    func observe(_ block: Int, at points: Set<TapPoint>) throws -> [TapPoint: ActivationStatistics] {
        let request = pruner.method.statistics
        var statistics = Walk.tapWidths(model.blocks[block]).filter { points.contains($0.key) }.mapValues {
            ActivationStatistics(width: $0, request, windowLength: length > 0 ? length : nil)
        }
        guard let runner, !request.isEmpty else { return statistics }
        try hidden.withMutableElements { hidden in
            try runner.runBlock(
                block, hidden: hidden, windows: windowCount, length: length,
                observer: { [pool] values in statistics[values.point]?.add(values, on: pool) },
                keepsInput: true,
                lastTap: points == [.attentionInput]
                    ? .attentionInput : points == [.attentionOutput] ? .attentionOutput : nil,
                cancellation: cancellation)
        }
        for point in points { statistics[point]!.finish() }
        for linear in model.blocks[block].linears where points.contains(linear.input) {
            if statistics[linear.input]!.count == 0 {
                throw PruningError.expertUnseen(layer: linear.parameter.name)
            }
            try checkFinite(statistics[linear.input]!, linear.parameter.name)
        }
        return statistics
    }

    /// Lets a method that works on blocks as a whole have this one before its layers.
    func prepare(_ block: Int, _ statistics: [TapPoint: ActivationStatistics]) throws {
        guard let method = pruner.method as? any BlockMethod else { return }
        for linear in model.blocks[block].linears { given[linear.parameter.name] = linear.parameter.matrix }
        try method.prepare(
            ScalableBlock(
                model.blocks[block], form: pruner.store, isParallel: model.configuration.traits.isParallel,
                on: pool), statistics: statistics)
    }

    /// Prunes one layer and puts the packed matrix in its place.
    func prune(
        _ layer: PrunableLayers.Layer, _ statistics: ActivationStatistics
    ) throws -> LayerReport {
        var weights = LinearWeights(
            name: layer.name, matrix: layer.parameter.matrix, form: pruner.store, on: pool)
        var target = LayerTarget(
            goal: goals[layer.name] ?? pruner.method.goal, seed: pruner.seed &+ layersDone,
            threshold: threshold,
            input: layer.input)
        layersDone += 1
        var report = try pruner.method.apply(to: &weights, target: &target, statistics: statistics)
        threshold = target.threshold
        guard let packed = try pruner.store.store(weights) else { return report }
        layer.parameter.replace(with: packed)
        report.format = packed.format.name
        report.bytes = packed.byteCount
        report.zeros = packed.zeros(on: pool)
        if let before = given.removeValue(forKey: layer.name) {
            report.formatBefore = before.format.name
            report.bytesBefore = before.byteCount
        }
        if let mask = weights.mask {
            report.maskSHA256 = mask.sha256(rowOrder: model.configuration.writtenRowOrder(of: layer.name))
        }
        return report
    }

    /// The report of a layer that nothing was done to.
    func leave(_ layer: PrunableLayers.Layer) -> LayerReport {
        var report = LayerReport(LinearWeights(name: layer.name, matrix: layer.parameter.matrix, on: pool))
        report.zeros = layer.parameter.matrix.zeros(on: pool)
        return report
    }

    /// Runs the pruned block over all windows: its outputs are the next block's inputs.
    func advance(_ block: Int) throws {
        guard let runner, !pruner.method.statistics.isEmpty else { return }
        try hidden.withMutableElements { hidden in
            try runner.runBlock(
                block, hidden: hidden, windows: windowCount, length: length, cancellation: cancellation)
        }
    }

    /// Where the smallest weights of all layers end; nil for goals of another scope.
    private static func globalThreshold(
        _ pruner: SequentialPruner, _ layers: PrunableLayers, on pool: KernelPool
    ) throws -> SelectionThreshold? {
        let goal = pruner.method.goal
        guard goal.isCounted, goal.scope == .global else { return nil }
        guard let method = pruner.method as? any WeightScoringMethod else {
            throw ConfigurationError.globalNeedsWeightScore(method: type(of: pruner.method).name)
        }
        let unit = goal.pattern.unit
        func scores(_ score: some SaliencyScore) throws -> [ScoredRows] {
            try layers.layers.map {
                try LinearWeights(name: $0.name, matrix: $0.parameter.matrix, on: pool)
                    .scoredRows(score, inBlocksOf: unit)
            }
        }
        return try MaskSelector(on: pool).threshold(
            over: scores(method.score), pruning: goal.pruned(of: layers.weightCount / unit))
    }
}
