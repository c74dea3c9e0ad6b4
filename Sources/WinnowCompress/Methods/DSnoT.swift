import WinnowCore
import WinnowModels
import WinnowWeights

/// Takes another method's mask and swaps kept and pruned weights of a row until its expected output is the dense one's.
///
/// D[r, j] = W[r, j] * mean of input j, and the error of a row is the sum of D over its pruned weights. While it is over
/// a threshold, the pruned weight that lowers it most (D over the variance of the input) comes back, and of the kept
/// ones whose loss lowers it too the one of smallest Wanda score goes. Weights are not changed.
///
/// - Source: DSnoT, arXiv 2310.08915.
/// - Departure: lists end where they end (reference code runs past them); a swap must bring the error closer to zero
///   (`acceptance`); variances of all tokens, means of tokens (`statistics: reference` takes the code's).
public struct DSnoT: LayerMethod {
    public struct Configuration: Configurable {
        public var sparsity = 0.5
        public var pattern = SparsityPattern.unstructured
        /// The mask to begin with.
        public var start = Start.wanda
        /// The most swaps of a row.
        public var cycles = 50
        /// The error under which a row is left alone.
        public var threshold = 0.1
        /// Of the variance that a weight's return is weighed by; 0: by none.
        public var variancePower = 1.0
        public var statistics = Statistics.paper
        public var acceptance = Acceptance.strictDecrease
        /// Leaves gate, up and down as the start made them, as the reference code does unless told otherwise.
        public var skipFeedForward = false
        /// For the start sparsegpt.
        public var damping = 0.01
        /// For the start sparsegpt: whether weights that stay make up for the others in the end.
        public var repair = false

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] {
            [
                .init("sparsity", \.sparsity), .init("pattern", \.pattern), .init("start", \.start),
                .init("cycles", \.cycles), .init("threshold", \.threshold),
                .init("variance_power", \.variancePower), .init("statistics", \.statistics),
                .init("acceptance", \.acceptance), .init("skip_feed_forward", \.skipFeedForward),
                .init("damping", \.damping), .init("repair", \.repair),
            ]
        }
    }

    public enum Start: String, Sendable, CaseIterable, ConfigurationChoice {
        case magnitude, wanda, sparsegpt
    }

    public enum Statistics: String, Sendable, CaseIterable, ConfigurationChoice {
        /// Means of tokens, variances over all of them.
        case paper
        /// What the reference code takes: sums over tokens divided by the number of windows, variances in windows.
        case reference
    }

    public enum Acceptance: String, Sendable, CaseIterable, ConfigurationChoice {
        /// Every swap; in N:M patterns as `same_sign`.
        case any
        /// The error keeps the sign it began with.
        case sameSign = "same_sign"
        /// The error comes closer to zero.
        case strictDecrease = "strict_decrease"
    }

    public static let name = "dsnot"
    public static let paper: PaperReference? = PaperReference(arXiv: "2310.08915")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest {
        configuration.start == .sparsegpt ? [.squares, .moments, .gram] : [.squares, .moments]
    }
    public var changesWeights: Bool { configuration.repair }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(sparsity: configuration.sparsity, pattern: configuration.pattern, scope: .row)
        func check(_ key: String, _ value: Double, _ isGood: Bool, _ expected: String)
            throws(ConfigurationError)
        {
            guard isGood else { throw .badValue(key: key, value: "\(value)", expected: expected) }
        }
        guard configuration.pattern.unit == 1 else {
            throw ConfigurationError.badValue(
                key: "pattern", value: "\(configuration.pattern)",
                expected: "unstructured or N:M: single weights change places")
        }
        let cycles = Double(configuration.cycles)
        try check("cycles", cycles, cycles >= 0, "0 or more swaps of a row")
        try check("threshold", configuration.threshold, configuration.threshold >= 0, "an error of 0 or more")
        try check(
            "variance_power", configuration.variancePower, configuration.variancePower >= 0, "0 or more")
        try SweepSettings.check(blockSize: 128, damping: configuration.damping)
        guard !configuration.repair || configuration.start == .sparsegpt else {
            throw ConfigurationError.badValue(
                key: "repair", value: "true", expected: "false unless start is sparsegpt")
        }
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        let norms = statistics.columnNorms
        var factor: InverseFactor?
        let scores: [Float]
        switch configuration.start {
        case .magnitude: scores = [Float](repeating: 1, count: norms.count)
        case .wanda: scores = norms
        case .sparsegpt:
            let made = try statistics.inverseFactor(
                damping: configuration.damping, layer: layer.name, on: layer.pool)
            factor = made
            scores = made.diagonal.map { Float(1 / $0) }
        }
        let start = try layer.choose(by: WandaScore(columnNorms: scores), &target)
        let swaps = MaskSwaps(configuration, statistics, norms: norms, startNorms: scores)
        let skips =
            configuration.skipFeedForward
            && (target.input == .feedForwardInput || target.input == .feedForwardHidden)
        let result = skips ? nil : swaps.run(layer, from: start, pattern: target.goal.pattern)
        layer.prune(result?.mask ?? start)
        var report: LayerReport
        if configuration.repair, let factor {
            report = try layer.solve(factor, .given, grid: layer.targetGrid(), damping: configuration.damping)
        } else {
            report = LayerReport(layer)
        }
        if let result {
            report.add("swaps", Double(result.swaps))
            report.add("expectedErrorBefore", result.errorBefore)
            report.add("expectedErrorAfter", result.errorAfter)
        }
        return report
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        guard configuration.start == .sparsegpt else { return 0 }
        return InverseFactor.byteCount(order: columns)
            + (configuration.repair ? ColumnSweep.workingBytes(rows: rows, columns: columns) : 0)
    }
}
