import WinnowWeights

/// Rounds each weight to its nearest code, without regard to the others. What was pruned stays zero.
///
/// The codes are those of the form that layers are stored in (``StoredForm``).
public struct RTN: LayerMethod {
    public struct Configuration: Configurable {
        public init() {}
        public static var keys: [ConfigurationKey<Configuration>] { [] }
    }

    public static let name = "rtn"
    public static let paper: PaperReference? = nil

    public let configuration: Configuration
    public let goal: SparsityGoal
    public var statistics: StatisticsRequest { [] }
    public var changesWeights: Bool { true }

    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        goal = try SparsityGoal(sparsity: 0, pattern: .unstructured, scope: .matrix)
    }

    public func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport {
        let grid = layer.targetGrid()
        if let grid {
            layer.replace(
                with: try layer.matrix.rounded(to: grid, under: layer.mask, on: layer.pool, name: layer.name))
        } else {
            layer.replace(with: try layer.matrix.converted(to: .f32, on: layer.pool, name: layer.name))
        }
        return LayerReport(layer)
    }

    public func workingBytes(rows: Int, columns: Int) -> Int {
        ColumnSweep.workingBytes(rows: rows, columns: columns)
    }
}
