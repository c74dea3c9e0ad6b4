import WinnowModels
import WinnowWeights

/// Moves outliers of the inputs into the weights, so that both can be rounded to 8 bits.
///
/// For weights that share inputs, s_j = max|X_j|^alpha / max|W_j|^(1 - alpha); weights times s are rounded, and 1/s goes
/// into what stands before: the norm of q, k, v and of gate, up; the rows of up for down. Then each weight goes to its
/// nearest code.
///
/// - Source: SmoothQuant, arXiv 2211.10438, equation 4.
/// - Departure: down is smoothed too where the network is gated (the paper has networks without a gate, whose down has
///   nothing linear before it); a channel without inputs or without weights keeps its scale.
public struct SmoothQuant: BlockMethod {
    public struct Configuration: Configurable {
        /// How much of the inputs' range goes into the weights: 0 none, 1 all.
        public var alpha = 0.5
        /// Whether weights are rounded, or left in float32 for a phase that follows.
        public var round = true

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [.init("alpha", \.alpha), .init("round", \.round)]
        }
    }

    public static let name = "smoothquant"
    public static let paper: PaperReference? = PaperReference(arXiv: "2211.10438")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { .peaks }
    public var changesWeights: Bool { true }
    public var leavesFloats: Bool { !configuration.round }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(sparsity: 0, pattern: .unstructured, scope: .matrix)
        guard (0...1).contains(configuration.alpha) else {
            throw ConfigurationError.badValue(
                key: "alpha", value: "\(configuration.alpha)", expected: "0 to 1")
        }
    }

    public func prepare(_ block: ScalableBlock, statistics: [TapPoint: ActivationStatistics]) throws {
        for group in block.groups {
            guard let inputs = statistics[group.input]?.peaks, !inputs.isEmpty else { continue }
            let scales = SmoothQuant.scales(
                inputs: inputs, weights: group.columnPeaks(on: block.pool), alpha: configuration.alpha)
            try group.fold(scales, on: block.pool)
        }
    }

    /// max|X_j|^alpha / max|W_j|^(1 - alpha), 1 where either is 0.
    package static func scales(inputs: [Float], weights: [Float], alpha: Double) -> [Double] {
        zip(inputs, weights).map { input, weight in
            guard input > 0, weight > 0 else { return 1 }
            return pow(Double(input), alpha) / pow(Double(weight), 1 - alpha)
        }
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        guard configuration.round else { return LayerReport(layer) }
        return try RTN(RTN.Configuration()).apply(to: &layer, target: &target, statistics: statistics)
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        // All matrices of a group in float32 while they are scaled.
        4 * rows * columns * 4 + ColumnSweep.workingBytes(rows: rows, columns: columns)
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
