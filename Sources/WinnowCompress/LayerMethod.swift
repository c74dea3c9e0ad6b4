import WinnowJSON
import WinnowModels
import WinnowWeights

/// A one-shot method that works on one layer at a time.
public protocol LayerMethod: Sendable {
    associatedtype Configuration: Configurable

    /// As recipes and `--method` name it.
    static var name: String { get }
    static var paper: PaperReference? { get }

    /// - Throws: ``ConfigurationError`` with the key's name.
    init(_ configuration: Configuration) throws
    var configuration: Configuration { get }

    /// What it needs to know of a layer's inputs; empty: no calibration.
    var statistics: StatisticsRequest { get }
    var goal: SparsityGoal { get }
    /// Whether the layers of a block are calibrated together or one after the other.
    var stages: StageOrder { get }
    /// Whether weights that stay get new values.
    var changesWeights: Bool { get }
    /// Whether layers are left in float32, for a phase that follows.
    var leavesFloats: Bool { get }

    /// Prunes one layer.
    ///
    /// - Parameter target: what this layer is to become, and its place in a selection over the model.
    /// - Parameter statistics: of the layer's inputs, from the block before any of it was pruned.
    func apply(
        to layer: inout LinearWeights, target: inout LayerTarget, statistics: ActivationStatistics
    ) throws -> LayerReport

    /// Bytes that ``apply(to:target:statistics:)`` holds at once for a layer of this shape.
    func workingBytes(rows: Int, columns: Int) -> Int
}

extension LayerMethod {
    /// All of the configuration, under its keys.
    public var settings: JSONObject { configuration.json }

    public var stages: StageOrder { .together }
    public var changesWeights: Bool { false }
    public var leavesFloats: Bool { false }
    public func workingBytes(rows: Int, columns: Int) -> Int { 0 }
}

/// When the inputs of a block's layers are observed.
public enum StageOrder: Sendable {
    /// All from one pass over the block as it was.
    case together
    /// q, k and v, then o, then gate and up, then down: each group from a pass over what has become of those before.
    case oneByOne
}

/// A method whose score needs the weights alone, so that weights of two layers compare.
public protocol WeightScoringMethod: LayerMethod {
    associatedtype Score: SaliencyScore
    var score: Score { get }
}

/// What one layer is to become.
public struct LayerTarget {
    /// The model's goal, or this layer's share of it.
    public var goal: SparsityGoal
    /// Where the layer's input is; nil outside a model.
    public var input: TapPoint?
    /// For what a method draws at random: its own for each layer.
    public var seed: UInt64
    /// Where a selection over the whole model ends; nil for other scopes.
    public internal(set) var threshold: SelectionThreshold?

    public init(
        goal: SparsityGoal, seed: UInt64, threshold: SelectionThreshold? = nil, input: TapPoint? = nil
    ) {
        self.goal = goal
        self.input = input
        self.seed = seed
        self.threshold = threshold
    }
}

/// Where a method comes from.
public struct PaperReference: Sendable, Equatable {
    public let arXiv: String
    public init(arXiv: String) { self.arXiv = arXiv }
}
