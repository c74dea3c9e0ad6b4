import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

/// The shape of a Llama that is trained from nothing.
public struct NewDecoder: Sendable, Equatable {
    public var layers = 4
    public var width = 256
    public var heads = 4
    public var keyValueHeads = 4
    public var feedForwardWidth = 704
    public var vocabularySize: Int
    public var contextLength = 256
    public var tiesEmbeddings = true
    public var bosID: Int?
    public var eosIDs: [Int] = []

    public init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    /// The first thing that is wrong with the shape, in words; nil: nothing.
    public var problem: String? {
        for (name, value) in [
            ("layers", layers), ("width", width), ("heads", heads), ("key-value heads", keyValueHeads),
            ("feed-forward width", feedForwardWidth), ("vocabulary", vocabularySize),
            ("context", contextLength),
        ] {
            if value < 1 { return "\(name) is \(value), not 1 or more" }
            if value > NewDecoder.most { return "\(name) is \(value), more than \(NewDecoder.most)" }
        }
        if layers > 1 << 14 { return "layers is \(layers), more than \(1 << 14)" }
        if width % heads != 0 { return "a width of \(width) does not divide by \(heads) heads" }
        if width / heads % 2 != 0 { return "heads of \(width / heads) have no pairs to turn" }
        if width / heads > 256 { return "heads of \(width / heads) are wider than 256" }
        if heads % keyValueHeads != 0 {
            return "\(heads) heads do not divide by \(keyValueHeads) key-value heads"
        }
        return nil
    }

    /// Of any of the numbers: what they come to together still has a size in bytes.
    private static let most = 1 << 20

    /// Trainable weights.
    public var parameterCount: Int {
        let keyWidth = width / heads * keyValueHeads
        let block = 2 * width * width + 2 * width * keyWidth + 3 * width * feedForwardWidth + 2 * width
        return layers * block + width + vocabularySize * width * (tiesEmbeddings ? 1 : 2)
    }

    var configuration: ModelConfiguration {
        ModelConfiguration(
            architecture: "llama", vocabularySize: vocabularySize, width: width, layers: layers, heads: heads,
            keyValueHeads: keyValueHeads, headWidth: width / heads, feedForwardWidth: feedForwardWidth,
            contextLength: contextLength, ropeBase: 10_000, normEpsilon: 1e-5, tiesEmbeddings: tiesEmbeddings,
            bosID: bosID, eosIDs: eosIDs, rotaryStyle: .halves, huggingFace: JSONObject())
    }

    /// A model with weights drawn from a normal distribution: of deviation 0.02, and in what writes to the
    /// residual less by the root of twice the layers, so that the residual keeps its size; norms are 1.
    ///
    /// - Source: GPT-2's initialisation.
    public func model(seed: UInt64) throws(WeightError) -> LanguageModel {
        precondition(problem == nil, problem ?? "")
        var random = Random(seed: seed)
        func matrix(_ name: String, _ rows: Int, _ columns: Int, _ deviation: Float) throws(WeightError)
            -> Parameter
        {
            let values = Storage(byteCount: rows * columns * 4) { bytes in
                for index in 0..<rows * columns {
                    bytes.storeBytes(of: random.normal() * deviation, toByteOffset: index * 4, as: Float.self)
                }
            }
            return Parameter(
                name: name,
                value: .matrix(
                    try WeightMatrix(
                        format: .f32, rows: rows, columns: columns,
                        parts: .init(values: StorageSlice(values)),
                        name: name)))
        }
        func norm(_ name: String) -> Norm {
            Norm(
                weight: Parameter(name: name, value: .vector(Tensor([Float](repeating: 1, count: width)))),
                epsilon: 1e-5)
        }
        let keyWidth = width / heads * keyValueHeads
        let small = 0.02 / Float(2 * layers).squareRoot()
        let embedding = try matrix("model.embed_tokens.weight", vocabularySize, width, 0.02)
        var blocks: [TransformerBlock] = []
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)"
            blocks.append(
                TransformerBlock(
                    attentionNorm: norm("\(prefix).input_layernorm.weight"),
                    attention: SelfAttention(
                        query: Linear(try matrix("\(prefix).self_attn.q_proj.weight", width, width, 0.02)),
                        key: Linear(try matrix("\(prefix).self_attn.k_proj.weight", keyWidth, width, 0.02)),
                        value: Linear(try matrix("\(prefix).self_attn.v_proj.weight", keyWidth, width, 0.02)),
                        output: Linear(try matrix("\(prefix).self_attn.o_proj.weight", width, width, small))),
                    feedForwardNorm: norm("\(prefix).post_attention_layernorm.weight"),
                    feedForward: FeedForward(
                        gate: Linear(
                            try matrix("\(prefix).mlp.gate_proj.weight", feedForwardWidth, width, 0.02)),
                        up: Linear(try matrix("\(prefix).mlp.up_proj.weight", feedForwardWidth, width, 0.02)),
                        down: Linear(
                            try matrix("\(prefix).mlp.down_proj.weight", width, feedForwardWidth, small)))))
        }
        return LanguageModel(
            configuration: configuration, embedding: embedding, blocks: blocks,
            finalNorm: norm("model.norm.weight"),
            head: tiesEmbeddings ? nil : try matrix("lm_head.weight", vocabularySize, width, 0.02))
    }
}
