import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

/// A shape to measure speed with, its weights random and made in memory.
public struct SyntheticShape: Sendable {
    public let name: String
    public let layers: Int
    public let width: Int
    public let feedForwardWidth: Int
    public let heads: Int
    public let keyValueHeads: Int
    public let vocabularySize: Int
    public let tiesEmbeddings: Bool
    /// A BERT; otherwise a Llama.
    public let isEncoder: Bool

    package init(
        name: String, layers: Int, width: Int, feedForwardWidth: Int, heads: Int, keyValueHeads: Int,
        vocabularySize: Int, tiesEmbeddings: Bool, isEncoder: Bool = false
    ) {
        self.name = name
        self.layers = layers
        self.width = width
        self.feedForwardWidth = feedForwardWidth
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.vocabularySize = vocabularySize
        self.tiesEmbeddings = tiesEmbeddings
        self.isEncoder = isEncoder
    }

    /// The shapes that `winnow bench --synthetic` knows.
    public static let all: [SyntheticShape] = [
        SyntheticShape(
            name: "llama-7b", layers: 32, width: 4096, feedForwardWidth: 11_008, heads: 32, keyValueHeads: 32,
            vocabularySize: 32_000, tiesEmbeddings: false),
        SyntheticShape(
            name: "llama-1b", layers: 16, width: 2048, feedForwardWidth: 8192, heads: 32, keyValueHeads: 8,
            vocabularySize: 32_000, tiesEmbeddings: false),
        SyntheticShape(
            name: "llama-135m", layers: 30, width: 576, feedForwardWidth: 1536, heads: 9, keyValueHeads: 3,
            vocabularySize: 49_152, tiesEmbeddings: true),
        SyntheticShape(
            name: "bert-base", layers: 12, width: 768, feedForwardWidth: 3072, heads: 12, keyValueHeads: 12,
            vocabularySize: 30_522, tiesEmbeddings: true, isEncoder: true),
    ]

    var configuration: ModelConfiguration { isEncoder ? encoderConfiguration : decoderConfiguration }

    private var decoderConfiguration: ModelConfiguration {
        ModelConfiguration(
            architecture: "llama", vocabularySize: vocabularySize, width: width, layers: layers, heads: heads,
            keyValueHeads: keyValueHeads, headWidth: width / heads, feedForwardWidth: feedForwardWidth,
            contextLength: 4096, ropeBase: 10_000, normEpsilon: 1e-5, tiesEmbeddings: tiesEmbeddings,
            bosID: nil, eosIDs: [], rotaryStyle: .halves, huggingFace: JSONObject())
    }
}

extension LanguageModel {
    /// A model with random weights: every block in `format` at `sparsity`, the head in `headFormat`.
    ///
    /// Matrices of one shape hold the same random values, each in memory of its own, so that decode reads as
    /// many distinct bytes as a real model's would.
    ///
    /// - Parameter isShared: one memory for all matrices of a shape: for writing to a file, not for measuring.
    public static func synthetic(
        _ shape: SyntheticShape, format: WeightFormat, sparsity: Double,
        pattern: SparsityPattern = .unstructured, headFormat: WeightFormat,
        seed: UInt64, sharingMemory isShared: Bool = false
    ) throws -> LanguageModel {
        var weights = SyntheticWeights(sparsity: sparsity, pattern: pattern, seed: seed, isShared: isShared)
        if shape.isEncoder {
            return try syntheticEncoder(shape, format: format, headFormat: headFormat, &weights)
        }
        func linear(_ name: String, _ rows: Int, _ columns: Int, _ format: WeightFormat) throws -> Linear {
            Linear(try weights.matrix(name, rows, columns, format))
        }
        func norm(_ name: String) -> Norm {
            let ones = Tensor([Float](repeating: 1, count: shape.width))
            return Norm(weight: Parameter(name: name, value: .vector(ones)), epsilon: 1e-5)
        }
        let keyWidth = shape.width / shape.heads * shape.keyValueHeads
        let blocks = try (0..<shape.layers).map { layer in
            let prefix = "model.layers.\(layer)"
            return TransformerBlock(
                attentionNorm: norm("\(prefix).input_layernorm.weight"),
                attention: SelfAttention(
                    query: try linear("\(prefix).self_attn.q_proj.weight", shape.width, shape.width, format),
                    key: try linear("\(prefix).self_attn.k_proj.weight", keyWidth, shape.width, format),
                    value: try linear("\(prefix).self_attn.v_proj.weight", keyWidth, shape.width, format),
                    output: try linear("\(prefix).self_attn.o_proj.weight", shape.width, shape.width, format)),
                feedForwardNorm: norm("\(prefix).post_attention_layernorm.weight"),
                feedForward: FeedForward(
                    gate: try linear(
                        "\(prefix).mlp.gate_proj.weight", shape.feedForwardWidth, shape.width, format),
                    up: try linear(
                        "\(prefix).mlp.up_proj.weight", shape.feedForwardWidth, shape.width, format),
                    down: try linear(
                        "\(prefix).mlp.down_proj.weight", shape.width, shape.feedForwardWidth, format)))
        }
        return LanguageModel(
            configuration: shape.configuration,
            embedding: try weights.matrix(
                "model.embed_tokens.weight", shape.vocabularySize, shape.width, headFormat),
            blocks: blocks, finalNorm: norm("model.norm.weight"),
            head: shape.tiesEmbeddings
                ? nil : try weights.matrix("lm_head.weight", shape.vocabularySize, shape.width, headFormat))
    }
}

/// Random matrices: those of one shape and format hold the same values, each in memory of its own unless shared.
struct SyntheticWeights {
    private let sparsity: Double
    private let pattern: SparsityPattern
    private let isShared: Bool
    private var random: Random
    private var made: [[Int]: WeightMatrix] = [:]

    init(sparsity: Double, pattern: SparsityPattern, seed: UInt64, isShared: Bool) {
        self.sparsity = sparsity
        self.pattern = pattern
        self.isShared = isShared
        random = Random(seed: seed)
    }

    mutating func matrix(
        _ name: String, _ rows: Int, _ columns: Int, _ format: WeightFormat
    ) throws(WeightError) -> Parameter {
        let key = [rows, columns, Int(format.code.rawValue)]
        let matrix: WeightMatrix
        if let same = made[key] {
            matrix = same
        } else {
            matrix = try WeightMatrix.random(
                rows: rows, columns: columns, format: format, sparsity: sparsity, pattern: pattern,
                using: &random)
            made[key] = matrix
        }
        return Parameter(name: name, value: .matrix(isShared ? matrix : try matrix.copied()))
    }
}
