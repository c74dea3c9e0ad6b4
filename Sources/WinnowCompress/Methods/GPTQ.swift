import WinnowCore
import WinnowWeights

/// Rounds column by column and lets the columns that are not rounded yet make up for each error.
///
/// The sweep of ``SparseGPT`` with rounding in the place of pruning: what was pruned stays zero, and its errors too are
/// made up for. Codes are those of the form that layers are stored in; scales of groups are found on the weights as
/// they are when the sweep reaches the group, or on the given ones with `act_order`.
///
/// - Source: GPTQ, arXiv 2210.17323.
/// - Departure: symmetric scales, of the group's weight of largest magnitude, which is met exactly; float64.
public struct GPTQ: LayerMethod {
    public struct Configuration: Configurable {
        /// What is added to H's diagonal, as a share of its mean.
        public var damping = 0.01
        /// Columns after which the rest is brought up to date.
        public var blockSize = 128
        /// Takes the columns with the largest inputs first.
        public var actOrder = false
        /// Whether a layer is calibrated on inputs that the rounded layers before it in its block have made.
        public var trueSequential = false

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [
                .init("damping", \.damping), .init("block_size", \.blockSize), .init("act_order", \.actOrder),
                .init("true_sequential", \.trueSequential),
            ]
        }
    }

    public static let name = "gptq"
    public static let paper: PaperReference? = PaperReference(arXiv: "2210.17323")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { .gram }
    public var stages: StageOrder { configuration.trueSequential ? .oneByOne : .together }
    public var changesWeights: Bool { true }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(sparsity: 0, pattern: .unstructured, scope: .matrix)
        try SweepSettings.check(blockSize: configuration.blockSize, damping: configuration.damping)
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        let damping = configuration.damping
        guard let grid = layer.targetGrid() else {
            layer.replace(with: try layer.matrix.converted(to: .f32, on: layer.pool, name: layer.name))
            return LayerReport(layer)
        }
        guard configuration.actOrder, let gram = statistics.gram else {
            let factor = try statistics.inverseFactor(damping: damping, layer: layer.name, on: layer.pool)
            return try layer.solve(
                factor, .given, blockSize: configuration.blockSize, grid: grid, damping: damping)
        }
        let diagonal = gram.diagonal
        let order = diagonal.indices.sorted {
            diagonal[$0] > diagonal[$1] || (diagonal[$0] == diagonal[$1] && $0 < $1)
        }
        let factor = try statistics.inverseFactor(
            damping: damping, channels: order, layer: layer.name, on: layer.pool)
        return try layer.solve(
            factor, .given, blockSize: configuration.blockSize,
            grid: grid.fixed(on: layer.matrix, on: layer.pool),
            damping: damping, order: order)
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        InverseFactor.byteCount(order: columns)
            + ColumnSweep.workingBytes(rows: rows, columns: columns, blockSize: configuration.blockSize)
    }
}
