import WinnowCore

/// Low-rank additions to a model's linears that run beside them, while the base stays as it is stored:
/// y = W x + B (A x).
///
/// A model may have any number of them; a ``KVSequence`` says which one it runs with, so that sequences of one step
/// may have different ones.
///
/// - Source: LoRA, arXiv 2106.09685, equation 3; the scale alpha / r is part of B here.
public final class RunningAdapter: Sendable {
    /// A `[rank, inputs]` and B `[outputs, rank]` of a linear, float32, row-major.
    public struct Factors: Sendable {
        public let down: [Float]
        public let up: [Float]
        public let rank: Int

        /// - Parameter up: with the scale multiplied in.
        public init(down: [Float], up: [Float], rank: Int) {
            self.down = down
            self.up = up
            self.rank = rank
        }
    }

    public let name: String
    /// By the keys of the linears, `model.layers.0.self_attn.q_proj.weight`.
    let factors: [String: Bound]
    let highestRank: Int
    /// The model that it is for.
    let model: ObjectIdentifier

    struct Bound: Sendable {
        let down: Storage
        let up: Storage
        let rank: Int
        let inputs: Int
    }

    /// - Throws: ``RunningAdapterError`` for a linear that the model does not have, or that is one of an expert, and for
    ///   factors of another shape.
    public init(
        name: String, _ factors: [String: Factors], for model: LanguageModel
    ) throws(RunningAdapterError) {
        var bound: [String: Bound] = [:]
        for (linear, own) in factors.sorted(by: { $0.key < $1.key }) {
            var isExpert = false
            var parameter: Parameter?
            for block in model.blocks {
                guard let found = block.linears.first(where: { $0.parameter.name == linear }) else {
                    continue
                }
                parameter = found.parameter
                let outside =
                    block.attention.inputWeights + [block.attention.output.weight]
                    + (block.feedForward.map { $0.inputWeights + [$0.down.weight] } ?? [])
                isExpert = !outside.contains { $0 === found.parameter }
            }
            guard let parameter else { throw .noSuchLinear(adapter: name, linear: linear) }
            guard !isExpert else { throw .inExperts(adapter: name, linear: linear) }
            let matrix = parameter.matrix
            guard own.rank > 0, own.down.count == own.rank * matrix.columns,
                own.up.count == matrix.rows * own.rank
            else {
                throw .misshapen(
                    adapter: name, linear: linear, rank: own.rank, down: own.down.count, up: own.up.count,
                    rows: matrix.rows, columns: matrix.columns)
            }
            bound[linear] = Bound(
                down: Storage(copying: own.down), up: Storage(copying: own.up), rank: own.rank,
                inputs: matrix.columns)
        }
        guard !bound.isEmpty else { throw .empty(adapter: name) }
        self.name = name
        self.factors = bound
        highestRank = bound.values.reduce(0) { max($0, $1.rank) }
        self.model = ObjectIdentifier(model)
    }

    /// Bytes of A and B.
    public var byteCount: Int { factors.values.reduce(0) { $0 + $1.down.byteCount + $1.up.byteCount } }
}

/// Why an adapter does not run beside a model.
public enum RunningAdapterError: Error, Equatable, Sendable, CustomStringConvertible {
    case noSuchLinear(adapter: String, linear: String)
    case inExperts(adapter: String, linear: String)
    /// - Parameter down: values of A; `up`: of B; rows and columns are the linear's.
    case misshapen(adapter: String, linear: String, rank: Int, down: Int, up: Int, rows: Int, columns: Int)
    case empty(adapter: String)

    public var description: String {
        switch self {
        case .noSuchLinear(let adapter, let linear):
            "adapter \(adapter) is for \(linear), which the model does not have: is it for another base?"
        case .inExperts(let adapter, let linear):
            "adapter \(adapter) changes \(linear), a linear of an expert, which cannot run beside it: use winnow merge"
        case .misshapen(let adapter, let linear, let rank, let down, let up, let rows, let columns):
            "adapter \(adapter) has \(down) and \(up) values of rank \(rank) for \(linear), [\(rows), \(columns)]; "
                + "expected \(rank * columns) and \(rows * rank)"
        case .empty(let adapter): "adapter \(adapter) changes no linear"
        }
    }
}
