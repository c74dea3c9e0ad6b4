import WinnowCore
import WinnowModels
import WinnowWeights

/// The matrices that methods prune: the linears of the blocks, in the order of the model.
///
/// Embeddings, head, norms and biases are not among them. Their weights are the denominator of every sparsity that
/// Winnow prints (SmolLM2-135M: 210 matrices, 106,168,320 weights).
public struct PrunableLayers {
    public struct Layer {
        public let block: Int
        public let parameter: Parameter
        /// Where its input is observed; q, k and v share one, as do gate and up.
        public let input: TapPoint

        /// The Hugging Face key.
        public var name: String { parameter.name }
        public var count: Int { parameter.matrix.count }
    }

    public let layers: [Layer]

    public init(_ model: LanguageModel) {
        layers = model.blocks.enumerated().flatMap { index, block in
            block.linears.map { Layer(block: index, parameter: $0.parameter, input: $0.input) }
        }
    }

    /// Some of a model's.
    init(layers: [Layer]) { self.layers = layers }

    /// The layers of one block.
    public func layers(ofBlock block: Int) -> [Layer] { layers.filter { $0.block == block } }

    public var weightCount: Int { layers.reduce(0) { $0 + $1.count } }
    /// Bytes as stored, masks and scales with them.
    public var byteCount: Int { layers.reduce(0) { $0 + $1.parameter.matrix.byteCount } }

    /// The share of zeros of each layer, under its key.
    public func sparsities(on pool: KernelPool) -> [String: Double] {
        var shares: [String: Double] = [:]
        for layer in layers {
            shares[layer.name] = Double(layer.parameter.matrix.zeros(on: pool)) / Double(layer.count)
        }
        return shares
    }

    /// Weights that are exactly zero.
    public func zeros(on pool: KernelPool) -> Int {
        layers.reduce(0) { $0 + $1.parameter.matrix.zeros(on: pool) }
    }
}
