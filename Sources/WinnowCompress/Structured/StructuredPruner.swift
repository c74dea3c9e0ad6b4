import WinnowCore
import WinnowIO
import WinnowModels
import WinnowText
import WinnowWeights

/// Drops neurons, heads or layers: what is left is a smaller dense model.
///
/// Scores come from one pass of the calibration text over the model as it was; each block loses the same share.
///
/// - Source: neurons and heads by the norm of what they add to the outputs (Wanda, arXiv 2306.11695, over whole columns);
///   layers by block influence (ShortGPT, arXiv 2403.03853).
public struct StructuredPruner {
    public var structure: Structure
    /// The share that goes; neurons are rounded so that a multiple of ``neuronStep`` stays.
    public var fraction: Double
    /// Lets the columns that stay make up for those that go.
    public var reconstructs = true
    public var damping = 0.01
    /// How down and output projections are kept whose columns can't stay packed; nil: Q8_0, or as floats where the
    /// source has floats.
    public var store: WeightFormat?
    public var threads: Int
    public var activations = ActivationMode.exact
    public var stepTokens = 1024

    /// Neurons stay in multiples of the narrowest packed block.
    public static let neuronStep = 32

    public init(_ structure: Structure, fraction: Double, threads: Int) {
        self.structure = structure
        self.fraction = fraction
        self.threads = threads
    }

    /// The smaller model.
    ///
    /// - Parameter windows: calibration tokens, all windows equally long.
    /// - Parameter progress: called with the blocks done and their number.
    /// - Throws: ``StructureError``, ``PruningError``, ``WeightError``, ``CheckpointError``.
    public func prune(
        _ loaded: LoadedModel, windows: [[TokenID]], cancellation: CancellationFlag? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> (model: LoadedModel, report: StructureReport) {
        try check(loaded.model)
        let pass = try StructurePass(self, loaded.model, windows, cancellation)
        var changes = StructureChanges(loaded.model)
        var scores: [[Double]] = []
        for block in loaded.model.blocks.indices {
            progress(block, loaded.model.blocks.count)
            let observed = try pass.run(block)
            switch structure {
            case .neurons: scores.append(try dropNeurons(block, observed, &changes, pass))
            case .heads: scores.append(try dropHeads(block, observed, &changes, pass))
            case .layers: scores.append([observed.influence])
            }
        }
        if structure == .layers {
            let influence = scores.map { $0[0] }
            changes.keptBlocks = influence.places(ofLargest: influence.count - dropped(of: influence.count))
        }
        progress(loaded.model.blocks.count, loaded.model.blocks.count)
        let checkpoint = try loaded.checkpoint.rebuilt(changes.configuration, tensors: changes.tensors())
        let result = try LoadedModel(checkpoint)
        return (
            result,
            StructureReport(
                structure: structure, fraction: fraction, scores: scores,
                kept: changes.kept(structure, loaded.model.configuration), before: loaded.model,
                after: result.model)
        )
    }

    /// What a run holds in memory beside the program, at its peak.
    public func memoryPlan(for model: LanguageModel, windows: Int, length: Int) -> MemoryPlan {
        let shape = model.configuration
        var plan = MemoryPlan()
        plan.add("the model as stored, and what becomes of it", bytes: 2 * model.byteCount)
        let hidden = windows * length * shape.width * 4
        plan.add(
            "hidden states of \(windows * length) tokens", bytes: structure == .layers ? 2 * hidden : hidden)
        let order =
            structure == .heads
            ? shape.widestLayer.heads * shape.headWidth : shape.widestLayer.feedForwardWidth
        if structure != .layers {
            plan.add("one matrix in float32, twice", bytes: 2 * order * shape.width * 4)
            if reconstructs { plan.add("the solver", bytes: 4 * order * order * 8) }
        }
        let runner = StructurePass.runnerConfiguration(self, length: length)
        plan.add("workspace", bytes: ModelRunner.workspaceBytes(model, runner))
        plan.add("keys and values", bytes: ModelRunner.cacheBytes(model, runner, tokens: length))
        return plan
    }

    private func dropped(of count: Int) -> Int { Int((fraction * Double(count)).rounded()) }

    private func check(_ model: LanguageModel) throws(StructureError) {
        let shape = model.configuration
        guard fraction > 0, fraction < 1 else { throw .badFraction(fraction) }
        func refuse(_ reason: String) -> StructureError {
            .unsupported(structure, architecture: shape.architecture, reason: reason)
        }
        switch structure {
        case .neurons:
            guard model.blocks.allSatisfy({ $0.feedForward != nil }) else { throw refuse("it has experts") }
            guard !shape.traits.fusesGateUp else { throw refuse("gate and up are one matrix") }
            let width = shape.widestLayer.feedForwardWidth
            guard keptNeurons(of: width) < width else {
                throw .nothingToDrop(structure, have: width, fraction: fraction)
            }
        case .heads:
            guard !shape.traits.fusesQueryKeyValue else { throw refuse("q, k and v are one matrix") }
            guard !shape.traits.normsWholeQueries else { throw refuse("a norm spans all heads") }
            let groups = shape.widestLayer.keyValueHeads
            guard (1..<groups).contains(dropped(of: groups)) else {
                throw .nothingToDrop(structure, have: groups, fraction: fraction)
            }
        case .layers:
            guard (1..<shape.layers).contains(dropped(of: shape.layers)) else {
                throw .nothingToDrop(structure, have: shape.layers, fraction: fraction)
            }
            let isPatterned = (0..<shape.layers).contains {
                shape.traits.window(ofLayer: $0) != shape.traits.window(ofLayer: 0)
                    || shape.hasExperts(inLayer: $0) != shape.hasExperts(inLayer: 0)
            }
            guard !isPatterned, !shape.traits.omitsFirstNorm else {
                throw refuse("their kinds follow a pattern that dropping would shift")
            }
        }
    }

    private func keptNeurons(of width: Int) -> Int {
        let step = StructuredPruner.neuronStep
        let kept = (Double(width) * (1 - fraction) / Double(step)).rounded()
        return min(max(Int(kept), 1) * step, width)
    }

    // MARK: Blocks

    private func dropNeurons(
        _ block: Int, _ observed: StructurePass.Observed, _ changes: inout StructureChanges,
        _ pass: StructurePass
    ) throws -> [Double] {
        let network = changes.model.blocks[block].feedForward!
        let down = network.down.weight
        let scores = StructureScores.channels(
            down.matrix, squares: observed.squares(.feedForwardHidden), on: pass.pool)
        let kept = scores.places(ofLargest: keptNeurons(of: scores.count))
        for linear in [network.gate, network.up].compactMap(\.self) { try changes.keepRows(kept, of: linear) }
        try keepColumns(kept, of: down, observed.grams[.feedForwardHidden], &changes, pass)
        changes.shapes[block].feedForwardWidth = kept.count
        return scores
    }

    private func dropHeads(
        _ block: Int, _ observed: StructurePass.Observed, _ changes: inout StructureChanges,
        _ pass: StructurePass
    ) throws -> [Double] {
        let attention = changes.model.blocks[block].attention
        let shape = changes.model.configuration
        let own = shape.shape(ofLayer: block)
        let queries = own.heads / own.keyValueHeads
        let width = queries * shape.headWidth
        let channels = StructureScores.channels(
            attention.output.weight.matrix, squares: observed.squares(.attentionOutput), on: pass.pool)
        let scores = StructureScores.groups(channels, of: width)
        let kept = scores.places(ofLargest: own.keyValueHeads - dropped(of: own.keyValueHeads))
        func rows(_ height: Int) -> [Int] { kept.flatMap { Array($0 * height..<($0 + 1) * height) } }
        try changes.keepRows(rows(width), of: attention.query)
        try changes.keepRows(rows(shape.headWidth), of: attention.key)
        try changes.keepRows(rows(shape.headWidth), of: attention.value)
        try keepColumns(
            rows(width), of: attention.output.weight, observed.grams[.attentionOutput], &changes, pass)
        changes.shapes[block].keyValueHeads = kept.count
        changes.shapes[block].heads = kept.count * queries
        return scores
    }

    private func keepColumns(
        _ kept: [Int], of parameter: Parameter, _ gram: GramMatrix?, _ changes: inout StructureChanges,
        _ pass: StructurePass
    ) throws {
        let source = parameter.matrix
        var result: WeightMatrix
        if let gram {
            let solver = OutputReconstruction(damping: damping)
            let floats: [Float]
            do {
                floats = try solver.weights(
                    source.floats(on: pass.pool), columns: source.columns, keeping: kept, gram: gram,
                    on: pass.pool)
            } catch FactorisationError.notPositiveDefinite(let pivot, _) {
                throw PruningError.singular(layer: parameter.name, channel: kept[pivot])
            }
            guard floats.allSatisfy(\.isFinite) else {
                throw PruningError.resultNotFinite(layer: parameter.name)
            }
            result = try WeightMatrix(
                format: .f32, rows: source.rows, columns: kept.count,
                parts: WeightMatrix.Parts(values: StorageSlice(copying: floats)), name: parameter.name)
        } else {
            result = try source.selectingColumns(kept, on: pass.pool)
        }
        if result.format != source.format {
            let format = store ?? (source.format.isFloat ? source.format.dense : .q8_0)
            result = try result.converted(to: format, on: pass.pool, name: parameter.name)
        }
        changes.replaced[parameter.name] = .matrix(result)
    }
}
