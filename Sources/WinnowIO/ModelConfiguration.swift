import WinnowJSON

/// The shape of a decoder and what running it needs to know, as its checkpoint says.
public struct ModelConfiguration: Sendable, Equatable {
    /// `llama`.
    public var architecture: String
    public var vocabularySize: Int
    public var width: Int
    public var layers: Int
    public var heads: Int
    public var keyValueHeads: Int
    public var headWidth: Int
    public var feedForwardWidth: Int
    public var contextLength: Int
    public var ropeBase: Double
    public var normEpsilon: Float
    public var tiesEmbeddings: Bool
    public var bosID: Int?
    public var eosIDs: [Int]
    public var rotaryStyle: RotaryStyle
    /// `config.json` as read, so that unknown keys survive a rewrite; made from the metadata of a GGUF file.
    public var huggingFace: JSONObject
    /// `generation_config.json` as read; empty where there was none.
    public var generation: JSONObject
    /// What the files say of the model itself: name, licence, tags.
    public var metadata: GeneralMetadata

    public init(
        architecture: String, vocabularySize: Int, width: Int, layers: Int, heads: Int, keyValueHeads: Int,
        headWidth: Int, feedForwardWidth: Int, contextLength: Int, ropeBase: Double, normEpsilon: Float,
        tiesEmbeddings: Bool, bosID: Int?, eosIDs: [Int], rotaryStyle: RotaryStyle, huggingFace: JSONObject,
        generation: JSONObject = JSONObject(), metadata: GeneralMetadata = GeneralMetadata()
    ) {
        self.architecture = architecture
        self.vocabularySize = vocabularySize
        self.width = width
        self.layers = layers
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headWidth = headWidth
        self.feedForwardWidth = feedForwardWidth
        self.contextLength = contextLength
        self.ropeBase = ropeBase
        self.normEpsilon = normEpsilon
        self.tiesEmbeddings = tiesEmbeddings
        self.bosID = bosID
        self.eosIDs = eosIDs
        self.rotaryStyle = rotaryStyle
        self.huggingFace = huggingFace
        self.generation = generation
        self.metadata = metadata
    }

    /// The architectures that this version reads.
    public static let supportedArchitectures = ["llama"]
}

extension ModelConfiguration {
    /// A tensor that a plain Llama has, with its shape.
    struct ExpectedTensor {
        let name: String
        let shape: [Int]
    }

    /// Calls `body` with every tensor that the configuration asks for, in the order of the model.
    func forEachTensor<Failure: Error>(_ body: (ExpectedTensor) throws(Failure) -> Void) throws(Failure) {
        try body(ExpectedTensor(name: "model.embed_tokens.weight", shape: [vocabularySize, width]))
        let queryRows = heads * headWidth
        let keyRows = keyValueHeads * headWidth
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)."
            for (name, shape) in [
                ("input_layernorm", [width]), ("self_attn.q_proj", [queryRows, width]),
                ("self_attn.k_proj", [keyRows, width]), ("self_attn.v_proj", [keyRows, width]),
                ("self_attn.o_proj", [width, queryRows]), ("post_attention_layernorm", [width]),
                ("mlp.gate_proj", [feedForwardWidth, width]), ("mlp.up_proj", [feedForwardWidth, width]),
                ("mlp.down_proj", [width, feedForwardWidth]),
            ] {
                try body(ExpectedTensor(name: "\(prefix)\(name).weight", shape: shape))
            }
        }
        try body(ExpectedTensor(name: "model.norm.weight", shape: [width]))
        if !tiesEmbeddings {
            try body(ExpectedTensor(name: "lm_head.weight", shape: [vocabularySize, width]))
        }
    }

    /// The shape of every tensor by name.
    var tensorShapes: [String: [Int]] {
        var shapes: [String: [Int]] = [:]
        forEachTensor { shapes[$0.name] = $0.shape }
        return shapes
    }

    /// The head count of a query or key projection, whose rows depend on ``rotaryStyle``; nil for other tensors.
    func rotaryHeads(of name: String) -> Int? {
        if name.hasSuffix(".self_attn.q_proj.weight") { return heads }
        if name.hasSuffix(".self_attn.k_proj.weight") { return keyValueHeads }
        return nil
    }
}
