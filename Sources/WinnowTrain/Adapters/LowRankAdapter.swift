import WinnowCore
import WinnowIO
import WinnowModels
import WinnowWeights

/// Low-rank additions to frozen linears: y = W x + scale B (A x), A `[rank, inputs]`, B `[outputs, rank]`.
///
/// - Source: LoRA, arXiv 2106.09685. A begins uniform in +-1 / sqrt(inputs), B at zero, as in PEFT.
public final class LowRankAdapter {
    /// A and B of one linear.
    public struct Pair {
        /// The linear's key, `model.layers.0.self_attn.q_proj.weight`.
        public let name: String
        public let down: ParameterTraining
        public let up: ParameterTraining
    }

    public let configuration: LowRankConfiguration
    public let pairs: [Pair]
    private let byName: [String: Pair]

    /// Fresh adapters for the linears of a model that the configuration names.
    ///
    /// - Throws: ``TrainingError/badValue(key:value:expected:)`` for a target that no linear has.
    public convenience init(
        _ configuration: LowRankConfiguration, for model: LanguageModel, seed: UInt64
    ) throws(TrainingError) {
        try configuration.validate()
        let linears = LowRankAdapter.linears(of: model)
        for target in configuration.targets {
            var one = configuration
            one.targets = [target]
            guard linears.contains(where: { one.covers($0.name) }) else {
                throw .badValue(
                    key: "targets", value: target,
                    expected: "all-linear or parts of names such as \(linears.first?.name ?? "none")")
            }
        }
        var random = Random(seed: seed)
        let pairs = linears.filter { configuration.covers($0.name) }.map { linear in
            let matrix = linear.matrix
            let bound = 1 / Float(matrix.columns).squareRoot()
            let down = (0..<configuration.rank * matrix.columns).map { _ in (2 * random.uniform() - 1) * bound
            }
            return Pair(
                name: linear.name, rank: configuration.rank, outputs: matrix.rows, inputs: matrix.columns,
                down: down,
                up: [Float](repeating: 0, count: matrix.rows * configuration.rank))
        }
        self.init(configuration, pairs)
    }

    init(_ configuration: LowRankConfiguration, _ pairs: [Pair]) {
        self.configuration = configuration
        self.pairs = pairs
        byName = Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0) })
    }

    static func linears(of model: LanguageModel) -> [Parameter] {
        model.blocks.flatMap { $0.linears.map(\.parameter) }
    }

    /// A and B of every pair, for a trainer.
    public var parameters: [ParameterTraining] { pairs.flatMap { [$0.down, $0.up] } }

    /// Adds itself to a twin's linears.
    public func attach(to twin: DecoderTwin) {
        let context = twin.context
        let scale = Float(configuration.scale)
        twin.adapt = { [byName] linear, rows, input, output in
            guard let pair = byName[linear.name] else { return output }
            // The few columns in the middle are scaled; the base's output is added to, not kept.
            let low = context.scale(context.linear(input, pair.down.variable), by: scale)
            return context.linear(low, pair.up.variable, rows: rows, residual: output)
        }
    }

    /// W + scale B A as float32; weights that the matrix prunes stay zero.
    ///
    /// - Parameter keepsZeros: of formats without a mask, too.
    public func merged(
        _ name: String, into matrix: WeightMatrix, keepsZeros: Bool = false, on pool: KernelPool
    ) throws(WeightError) -> WeightMatrix {
        guard let pair = byName[name] else { return matrix }
        precondition(
            matrix.rows == pair.up.rows && matrix.columns == pair.down.columns,
            "\(name) is [\(matrix.rows), \(matrix.columns)]")
        let context = OpContext(pool)
        let sum = context.withoutTape {
            let base = Variable(Tensor(matrix.floats(on: pool), shape: [matrix.rows, matrix.columns]))
            let product = context.product(pair.up.tensor, pair.down.tensor)
            return context.add(base, product, scale: Float(configuration.scale)).value
        }
        let whole = try WeightMatrix(
            format: .f32, rows: matrix.rows, columns: matrix.columns, parts: .init(values: sum.bytes),
            name: name)
        guard let mask = matrix.mask ?? (keepsZeros ? matrix.nonzeros(on: pool) : nil) else { return whole }
        return try whole.masked(by: mask, on: pool, name: name)
    }
}

extension LowRankAdapter.Pair {
    init(name: String, rank: Int, outputs: Int, inputs: Int, down: [Float], up: [Float]) {
        self.name = name
        let module = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
        self.down = ParameterTraining(
            name: "base_model.model.\(module).lora_A.weight", shape: [rank, inputs], values: down, mask: nil)
        self.up = ParameterTraining(
            name: "base_model.model.\(module).lora_B.weight", shape: [outputs, rank], values: up, mask: nil)
    }
}
