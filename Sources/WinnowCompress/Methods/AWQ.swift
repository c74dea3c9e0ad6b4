import WinnowCore
import WinnowModels
import WinnowWeights

/// Scales up the input channels that matter before weights are rounded, and scales what makes those inputs down.
///
/// For weights that share inputs, s_j = rms_j^a; weights times s are rounded, and 1/s goes into what stands before: the
/// norm of q, k, v and of gate, up; the rows of up for down. a is the one of a grid at which a sample of rows loses least
/// of its outputs, by the Gram matrix of the inputs; 0 leaves all as it is. Then each weight goes to its nearest code.
///
/// - Source: AWQ, arXiv 2306.00978.
/// - Departure: root mean squares of channels, where the paper has mean magnitudes; losses of 64 rows a matrix from the
///   Gram matrix, not from the block's outputs; no clipping; o keeps its inputs (with grouped keys and values they have
///   no scale of their own).
public struct AWQ: BlockMethod {
    public struct Configuration: Configurable {
        /// Steps of the power between 0 and 1.
        public var steps = 20

        public init() {}

        public static var keys: [ConfigurationKey<Configuration>] { [.init("steps", \.steps)] }
    }

    public static let name = "awq"
    public static let paper: PaperReference? = PaperReference(arXiv: "2306.00978")

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { .gram }
    public var changesWeights: Bool { true }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(sparsity: 0, pattern: .unstructured, scope: .matrix)
        guard (1...1000).contains(configuration.steps) else {
            throw ConfigurationError.badValue(
                key: "steps", value: "\(configuration.steps)", expected: "1 to 1000")
        }
    }

    public func prepare(_ block: ScalableBlock, statistics: [TapPoint: ActivationStatistics]) throws {
        for group in block.groups {
            guard let gram = statistics[group.input]?.gram else { continue }
            let roots = gram.diagonal.map { $0.squareRoot() }
            guard let largest = roots.max(), largest > 0 else { continue }
            let floor = largest * 1e-4
            var best: (loss: Double, scales: [Double])?
            for step in 0..<configuration.steps {
                let power = Double(step) / Double(configuration.steps)
                var scales = roots.map { exponential(max($0, floor), power) }
                let middle = (scales.max()! * scales.min()!).squareRoot()
                scales = scales.map { $0 / middle }
                let loss = try group.loss(scales, gram, form: block.form, on: block.pool)
                if best.map({ loss < $0.loss }) ?? true { best = (loss, step == 0 ? [] : scales) }
            }
            if let scales = best?.scales, !scales.isEmpty { try group.fold(scales, on: block.pool) }
        }
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        try RTN(RTN.Configuration()).apply(to: &layer, target: &target, statistics: statistics)
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        // A sample's differences and their products; all matrices of a group in float32 while they are scaled.
        3 * ScaledGroup.sampledRows * columns * 8 + 4 * rows * columns * 4
            + ColumnSweep.workingBytes(rows: rows, columns: columns)
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private func exponential(_ base: Double, _ power: Double) -> Double { pow(base, power) }
