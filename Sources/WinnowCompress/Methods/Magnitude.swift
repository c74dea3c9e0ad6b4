import WinnowWeights

/// Prunes the weights of smallest magnitude: no calibration.
///
/// - Source: the baseline of Wanda (arXiv 2306.11695), by matrix, and one-shot global magnitude (arXiv 2306.03805).
/// - Departure: counts are exact, round(weights * sparsity); reference code prunes all that tie with its threshold.
public struct Magnitude: WeightScoringMethod {
    public struct Configuration: Configurable {
        public var sparsity = 0.5
        public var pattern = SparsityPattern.unstructured
        public var scope = SelectionScope.matrix

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [.init("sparsity", \.sparsity), .init("pattern", \.pattern), .init("scope", \.scope)]
        }
    }

    public static let name = "magnitude"
    public static let paper: PaperReference? = PaperReference(arXiv: "2306.03805")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { [] }
    public var score: MagnitudeScore { MagnitudeScore() }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(
            sparsity: configuration.sparsity, pattern: configuration.pattern, scope: configuration.scope)
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        try layer.prune(by: score, &target)
    }
}
