import WinnowCore
import WinnowWeights

/// Prunes column by column and lets the weights that stay make up for each loss.
///
/// A weight's score is |w| / U[j, j], with H^-1 = U^T U and H = X^T X of the layer's inputs; unstructured, the smallest
/// of each block of columns go, all rows together. Where the layer is stored in codes, weights that stay are rounded to
/// them in the same sweep, and the rounding errors are made up for too.
///
/// - Source: SparseGPT, arXiv 2301.00774.
/// - Departure: exact counts (reference code prunes one more, and all ties); float64; channels that never spoke get the
///   mean of H's diagonal, not 1; what was pruned before stays pruned and counts.
public struct SparseGPT: LayerMethod {
    public struct Configuration: Configurable {
        public var sparsity = 0.5
        public var pattern = SparsityPattern.unstructured
        /// Columns among which an unstructured choice is made, and after which the rest is brought up to date.
        public var blockSize = 128
        /// What is added to H's diagonal, as a share of its mean.
        public var damping = 0.01
        /// Whether a layer is calibrated on inputs that the pruned layers before it in its block have made.
        public var trueSequential = false
        /// Whether weights are rounded to the stored grid in the sweep; if not, afterwards.
        public var joint = true

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [
                .init("sparsity", \.sparsity), .init("pattern", \.pattern), .init("block_size", \.blockSize),
                .init("damping", \.damping), .init("true_sequential", \.trueSequential),
                .init("joint", \.joint),
            ]
        }
    }

    public static let name = "sparsegpt"
    public static let paper: PaperReference? = PaperReference(arXiv: "2301.00774")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { .gram }
    public var stages: StageOrder { configuration.trueSequential ? .oneByOne : .together }
    public var changesWeights: Bool { true }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(
            sparsity: configuration.sparsity, pattern: configuration.pattern, scope: .matrix)
        try SweepSettings.check(blockSize: configuration.blockSize, damping: configuration.damping)
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        try layer.checkBlocks(of: target.goal.pattern.unit)
        let factor = try statistics.inverseFactor(
            damping: configuration.damping, layer: layer.name, on: layer.pool)
        let selection: ColumnSweep.Selection =
            switch target.goal.pattern {
            case .unstructured: .share(target.goal.sparsity)
            case .blocks(let columns): .share(target.goal.sparsity, unit: columns)
            case .nOfM(let n, let m): .nOfM(n: n, m: m)
            }
        return try layer.solve(
            factor, selection, blockSize: configuration.blockSize,
            grid: configuration.joint ? layer.targetGrid() : nil, damping: configuration.damping)
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        InverseFactor.byteCount(order: columns)
            + ColumnSweep.workingBytes(rows: rows, columns: columns, blockSize: configuration.blockSize)
    }
}

/// What methods that sweep over columns have in common.
enum SweepSettings {
    static func check(blockSize: Int, damping: Double) throws(ConfigurationError) {
        guard (1...256).contains(blockSize) else {
            throw .badValue(key: "block_size", value: "\(blockSize)", expected: "1 to 256 columns")
        }
        guard damping >= 0, damping.isFinite else {
            throw .badValue(
                key: "damping", value: "\(damping)", expected: "a share of H's mean diagonal, 0 or more")
        }
    }
}

extension ActivationStatistics {
    /// The factor that sweeps read.
    ///
    /// - Throws: ``PruningError/singular(layer:channel:)``.
    func inverseFactor(
        damping: Double, channels: [Int]? = nil, layer: String, on pool: KernelPool
    ) throws(PruningError) -> InverseFactor {
        guard let gram else { preconditionFailure("\(layer): statistics without a Gram matrix") }
        do {
            guard let channels else { return try gram.inverseFactor(damping: damping, on: pool) }
            return try gram.inverseFactor(damping: damping, channels: channels, on: pool)
        } catch {
            guard case .notPositiveDefinite(let pivot, _) = error else { preconditionFailure("\(error)") }
            throw .singular(layer: layer, channel: pivot)
        }
    }
}

extension LinearWeights {
    /// Sweeps over the layer and takes what comes out.
    mutating func solve(
        _ factor: InverseFactor, _ selection: ColumnSweep.Selection, blockSize: Int = 128,
        grid: QuantGrid? = nil,
        damping: Double, order: [Int]? = nil
    ) throws -> LayerReport {
        let sweep = ColumnSweep(
            name: name, matrix: matrix, mask: mask, blockSize: min(blockSize, 256), pool: pool, order: order)
        let result = try sweep.run(factor, selection, grid: grid)
        replace(with: result.matrix, mask: result.mask)
        var report = LayerReport(self)
        report.add("loss", result.loss)
        report.add("damping", factor.damping)
        report.add("dampingAsked", damping)
        if !factor.dead.isEmpty { report.add("deadChannels", Double(factor.dead.count)) }
        return report
    }
}
