import WinnowWeights

/// Prunes by magnitude times the norm of the input channel, compared within each output row; weights are not updated.
///
/// - Source: Wanda, arXiv 2306.11695.
/// - Departure: floor(columns * sparsity) of each row exactly; sums of squares in float64 over all tokens (the
///   paper's code keeps a float32 mean, a factor that the ranking does not see).
public struct Wanda: LayerMethod {
    public struct Configuration: Configurable {
        public var sparsity = 0.5
        public var pattern = SparsityPattern.unstructured
        public var scope = SelectionScope.row

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [.init("sparsity", \.sparsity), .init("pattern", \.pattern), .init("scope", \.scope)]
        }
    }

    public static let name = "wanda"
    public static let paper: PaperReference? = PaperReference(arXiv: "2306.11695")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { .squares }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(
            sparsity: configuration.sparsity, pattern: configuration.pattern, scope: configuration.scope)
        if goal.isCounted, goal.scope == .global {
            throw ConfigurationError.globalNeedsWeightScore(method: Wanda.name)
        }
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        try layer.prune(by: WandaScore(columnNorms: statistics.columnNorms), &target)
    }
}
