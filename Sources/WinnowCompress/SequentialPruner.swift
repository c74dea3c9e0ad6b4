import WinnowCore
import WinnowModels
import WinnowText
import WinnowWeights

/// Walks a model block by block: observe the block's inputs, prune its layers, run it again with what is left.
///
/// A block's layers are all scored from one pass over the block as it was, or, for a method that asks for it, one group
/// after the other (``StageOrder``); the next block sees the outputs of the pruned one. A pass that only observes stops
/// at the last point: its outputs would be thrown away. A method that needs no activations runs no pass at all.
///
/// - Source: Wanda, arXiv 2306.11695, algorithm 1, and its code.
public struct SequentialPruner {
    public let method: any LayerMethod
    public var store = StoredForm.source
    /// Which layers are worked on; the others run as they are.
    public var selection = LayerSelection.all
    /// How much of the sparsity each of them gets.
    public var allocation = SparsityAllocation.uniform
    public var threads: Int
    /// How calibration runs products; exact by default: masks then follow float32 arithmetic.
    public var activations = ActivationMode.exact
    public var seed: UInt64 = 0
    /// Tokens that run together while calibrating: a weight is unpacked once for all of them. Changes no mask.
    public var stepTokens = 1024
    /// Blocks to walk before the walk ends; nil: all. For timing what a walk takes.
    package var blockLimit: Int?

    public init(_ method: any LayerMethod, threads: Int) {
        self.method = method
        self.threads = threads
    }

    /// Whether it must see activations.
    public var needsCalibration: Bool {
        if !method.statistics.isEmpty { return true }
        if case .outliers = allocation { return true }
        return false
    }

    /// Prunes `model` in place; when it throws, the model is as it was.
    ///
    /// - Parameter windows: calibration tokens, all windows equally long; not read by a method without statistics.
    /// - Parameter progress: called with the blocks done and their number.
    /// - Throws: ``PruningError``, ``ConfigurationError``, ``SelectionError``, ``WeightError``, `ModelError`.
    public func prune(
        _ model: LanguageModel, windows: [[TokenID]] = [], cancellation: CancellationFlag? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> PruningReport {
        let layers = try selection.layers(of: model)
        try checkWholeBlocks(layers, of: model)
        let before = WeightSnapshot(model)
        do {
            let reports = try walk(model, layers, windows, cancellation, progress)
            progress(model.blocks.count, model.blocks.count)
            // The walk's hidden states and workspaces are gone: what follows must not find them in the peak.
            FreedMemory.release()
            return PruningReport(goal: method.goal, layers: reports)
        } catch {
            before.restore()
            if case ModelError.cancelled = error { throw PruningError.cancelled }
            throw error
        }
    }

    /// A method that moves scales through a block needs all of its layers.
    private func checkWholeBlocks(_ layers: PrunableLayers, of model: LanguageModel)
        throws(ConfigurationError)
    {
        guard method is any BlockMethod else { return }
        for (index, block) in model.blocks.enumerated() {
            let count = layers.layers(ofBlock: index).count
            guard count == 0 || count == block.linears.count else {
                throw .badValue(
                    key: "targets", value: "\(count) of \(block.linears.count) layers of block \(index)",
                    expected: "all or none of a block's: \(type(of: method).name) scales them together")
            }
        }
    }

    private func walk(
        _ model: LanguageModel, _ layers: PrunableLayers, _ windows: [[TokenID]],
        _ cancellation: CancellationFlag?, _ progress: (Int, Int) -> Void
    ) throws -> [LayerReport] {
        let walk = try Walk(self, model, layers, windows, cancellation)
        var reports: [LayerReport] = []
        for block in model.blocks.indices.prefix(blockLimit ?? model.blocks.count) {
            progress(block, model.blocks.count)
            try walk.checkCancellation()
            let own = layers.layers(ofBlock: block)
            let points = Set(own.map(\.input))
            let byStage = (0...3).map { stage in points.filter { $0.stage == stage } }
            let stages = method.stages == .together ? [points] : byStage
            for stage in stages where !stage.isEmpty {
                var statistics = try walk.observe(block, at: stage)
                try walk.prepare(block, statistics)
                for (index, layer) in own.enumerated() where stage.contains(layer.input) {
                    try walk.checkCancellation()
                    reports.append(try walk.prune(layer, statistics[layer.input]!))
                    // A Gram matrix and its factor are large: they go as soon as nobody reads them.
                    if !own[(index + 1)...].contains(where: { $0.input == layer.input }) {
                        statistics[layer.input] = nil
                    }
                }
            }
            if block + 1 < model.blocks.count { try walk.advance(block) }
        }
        guard selection != .all, blockLimit == nil else { return reports }
        let changed = Dictionary(uniqueKeysWithValues: reports.map { ($0.name, $0) })
        return PrunableLayers(model).layers.map { changed[$0.name] ?? walk.leave($0) }
    }

    /// What a run holds in memory beside the program, at its peak.
    ///
    /// - Parameter windows: how many, 0 without calibration.
    /// - Parameter readsAll: whether all of the model is in memory beside; a walk over a model that was only
    ///   mapped so far reads the blocks, and of the embedding a page for each token at most.
    public func memoryPlan(
        for model: LanguageModel, windows: Int, length: Int, readsAll: Bool = true
    ) -> MemoryPlan {
        var plan = MemoryPlan()
        // A selection that makes no sense is refused when it is run; until then it is taken for all.
        let layers = (try? selection.layers(of: model).layers) ?? PrunableLayers(model).layers
        let kept = 1 - method.goal.sparsity
        let blocks = PrunableLayers(model).byteCount
        let read = readsAll ? model.byteCount : min(model.byteCount, blocks + windows * length * 4096)
        plan.add(readsAll ? "the model as stored" : "the model as far as it is read", bytes: read)
        plan.add(
            "the pruned matrices",
            bytes: layers.reduce(0) {
                $0
                    + (method.leavesFloats
                        ? $1.count * 4 : store.byteCount(of: $1.parameter.matrix, keeping: kept))
            })
        // Values, the same with zeros, codes, and packed; weights that a solver puts on the source's own grid stay codes.
        if store != .source
            || method.changesWeights && layers.contains(where: { $0.parameter.matrix.format.isFloat })
        {
            plan.add("one matrix in float32, twice", bytes: (layers.map(\.count).max() ?? 0) * 8)
        }
        let peak = solvingPeak(model, layers)
        if peak.working > 0 { plan.add("the solver", bytes: peak.working) }
        guard needsCalibration, windows > 0 else { return plan }
        let tokens = windows * length
        plan.add("calibration, \(tokens) tokens in float32", bytes: tokens * model.configuration.width * 4)
        plan.add("statistics of one block", bytes: peak.statistics)
        // Planned anew after each block; the old one goes before anything is written into the new.
        let runner = runnerConfiguration(length: length)
        plan.add("workspace", bytes: ModelRunner.workspaceBytes(model, runner))
        plan.add("keys and values", bytes: ModelRunner.cacheBytes(model, runner, tokens: length))
        return plan
    }

    /// What statistics and a method's own work hold when they hold most, in any block: all points' statistics while
    /// they are gathered, or, while the layers of a stage are worked on, its own and those of the stages after it.
    private func solvingPeak(
        _ model: LanguageModel, _ layers: [PrunableLayers.Layer]
    ) -> (statistics: Int, working: Int) {
        var peak = (statistics: 0, working: 0)
        for (block, part) in model.blocks.enumerated() {
            let widths = Walk.tapWidths(part)
            func bytes(_ stages: ClosedRange<Int>) -> Int {
                widths.reduce(0) {
                    stages.contains($1.key.stage)
                        ? $0 + ActivationStatistics.byteCount(width: $1.value, method.statistics) : $0
                }
            }
            let own = layers.filter { $0.block == block }
            for stage in 0...3 {
                let held = method.stages == .together ? bytes(stage...3) : bytes(stage...stage)
                let working =
                    own.filter { $0.input.stage == stage }.map {
                        method.workingBytes(
                            rows: $0.parameter.matrix.rows, columns: $0.parameter.matrix.columns)
                    }.max() ?? 0
                if held + working > peak.statistics + peak.working { peak = (held, working) }
            }
        }
        return peak
    }

    func runnerConfiguration(length: Int) -> ModelRunner.Configuration {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = activations
        configuration.kvType = .f32
        configuration.chunk = max(1, length >= stepTokens ? stepTokens : stepTokens / max(length, 1) * length)
        return configuration
    }
}

extension TapPoint {
    /// The group of layers of a block that may be worked on together when each sees what became of those before.
    var stage: Int {
        switch self {
        case .attentionInput: 0
        case .attentionOutput: 1
        case .feedForwardInput, .expertInput: 2
        case .feedForwardHidden, .expertHidden: 3
        }
    }
}
