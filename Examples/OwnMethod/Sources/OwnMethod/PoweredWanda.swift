import WinnowKit

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Prunes by |W| times a power of the norm of the input channel: 0 is magnitude, 1 is Wanda.
///
/// A method of a program's own; recipes name it once it is in a registry.
struct PoweredWanda: LayerMethod {
    struct Configuration: Configurable {
        var sparsity = 0.5
        var pattern = SparsityPattern.unstructured
        var power = 0.5

        init() {}

        static var keys: [ConfigurationKey<Configuration>] {
            [.init("sparsity", \.sparsity), .init("pattern", \.pattern), .init("power", \.power)]
        }
    }

    static let name = "powered-wanda"
    static let paper: PaperReference? = nil

    let configuration: Configuration
    let goal: SparsityGoal
    var statistics: StatisticsRequest { .squares }

    init(_ configuration: Configuration) throws {
        guard configuration.power >= 0 else {
            throw ConfigurationError.badValue(
                key: "power", value: "\(configuration.power)", expected: "0 or more")
        }
        self.configuration = configuration
        goal = try SparsityGoal(
            sparsity: configuration.sparsity, pattern: configuration.pattern, scope: .row)
    }

    func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        let power = Float(configuration.power)
        return try layer.prune(
            by: WandaScore(columnNorms: statistics.columnNorms.map { powf($0, power) }), &target)
    }
}
