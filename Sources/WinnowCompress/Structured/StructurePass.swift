import WinnowCore
import WinnowModels
import WinnowText

/// One pass of the calibration text over a model as it is, block by block.
final class StructurePass {
    /// What a block showed.
    struct Observed {
        var statistics: [TapPoint: ActivationStatistics] = [:]
        /// 1 - the mean cosine of input and output.
        var influence = 0.0

        func squares(_ point: TapPoint) -> [Double]? { statistics[point]?.sumOfSquares }
        var grams: [TapPoint: GramMatrix] { statistics.compactMapValues(\.gram) }
    }

    let pool: KernelPool
    private let pruner: StructuredPruner
    private let model: LanguageModel
    private let runner: ModelRunner
    private let windowCount: Int
    private let length: Int
    private let cancellation: CancellationFlag?
    private var hidden: Buffer<Float>
    /// What the block read, where it is compared with what it wrote.
    private var input: Buffer<Float>

    init(
        _ pruner: StructuredPruner, _ model: LanguageModel, _ windows: [[TokenID]],
        _ cancellation: CancellationFlag?
    ) throws {
        let length = windows.first?.count ?? 0
        guard length > 0 else {
            throw PruningError.needsCalibration(method: "dropping \(pruner.structure.rawValue)")
        }
        guard length <= model.configuration.contextLength else {
            throw PruningError.windowTooLong(tokens: length, context: model.configuration.contextLength)
        }
        for (index, window) in windows.enumerated() where window.count != length {
            throw PruningError.unevenWindows(index: index, tokens: window.count, expected: length)
        }
        self.pruner = pruner
        self.model = model
        self.cancellation = cancellation
        self.length = length
        windowCount = windows.count
        runner = try ModelRunner(model, StructurePass.runnerConfiguration(pruner, length: length))
        pool = runner.pool
        let width = model.configuration.width
        hidden = Buffer(count: windows.count * length * width)
        input = Buffer(count: pruner.structure == .layers ? hidden.count : 0)
        for (index, window) in windows.enumerated() {
            try runner.embed(window, into: hidden.base + index * length * width)
        }
    }

    static func runnerConfiguration(_ pruner: StructuredPruner, length: Int) -> ModelRunner.Configuration {
        var configuration = ModelRunner.Configuration(threads: pruner.threads)
        configuration.activations = pruner.activations
        configuration.kvType = .f32
        let step = pruner.stepTokens
        configuration.chunk = max(1, length >= step ? step : step / max(length, 1) * length)
        return configuration
    }

    func run(_ block: Int) throws -> Observed {
        var observed = Observed()
        let point: TapPoint? =
            switch pruner.structure {
            case .neurons: .feedForwardHidden
            case .heads: .attentionOutput
            case .layers: nil
            }
        if let point, let width = Walk.tapWidths(model.blocks[block])[point] {
            observed.statistics[point] = ActivationStatistics(
                width: width, pruner.reconstructs ? [.squares, .gram] : .squares, windowLength: length)
        }
        if pruner.structure == .layers { input.base.update(from: hidden.base, count: hidden.count) }
        do {
            try hidden.withMutableElements { hidden in
                try runner.runBlock(
                    block, hidden: hidden, windows: windowCount, length: length,
                    observer: point == nil
                        ? nil
                        : { [pool] values in
                            if values.point == point {
                                observed.statistics[values.point]!.add(values, on: pool)
                            }
                        }, cancellation: cancellation)
            }
        } catch ModelError.cancelled { throw PruningError.cancelled }
        for (point, statistics) in observed.statistics {
            if let channel = statistics.firstNotFinite {
                let reader = model.blocks[block].linears.first { $0.input == point }
                throw PruningError.activationsNotFinite(
                    layer: reader?.parameter.name ?? "block \(block)", channel: channel)
            }
        }
        if pruner.structure == .layers {
            observed.influence = StructureScores.influence(
                from: input.base, to: hidden.base, tokens: windowCount * length,
                width: model.configuration.width)
            guard observed.influence.isFinite else {
                throw PruningError.activationsNotFinite(layer: "block \(block)", channel: 0)
            }
        }
        return observed
    }
}
