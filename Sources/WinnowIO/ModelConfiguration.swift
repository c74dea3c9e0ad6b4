import WinnowCore
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
    public var rope: RopeSettings
    public var normEpsilon: Float
    public var tiesEmbeddings: Bool
    public var bosID: Int?
    public var eosIDs: [Int]
    public var rotaryStyle: RotaryStyle
    /// `config.json` as read, so that unknown keys survive a rewrite; made from the metadata of a GGUF file.
    public var huggingFace: JSONObject
    /// `generation_config.json` as read; empty where there was none.
    public var generation: JSONObject
    public var traits: DecoderTraits
    /// The shape of each block where they differ; empty where all are alike.
    public var layerShapes: [LayerShape] = []
    /// What the files say of the model itself: name, licence, tags.
    public var metadata: GeneralMetadata

    public init(
        architecture: String, vocabularySize: Int, width: Int, layers: Int, heads: Int, keyValueHeads: Int,
        headWidth: Int, feedForwardWidth: Int, contextLength: Int, ropeBase: Double, normEpsilon: Float,
        tiesEmbeddings: Bool, bosID: Int?, eosIDs: [Int], rotaryStyle: RotaryStyle, huggingFace: JSONObject,
        generation: JSONObject = JSONObject(), ropeScaling: RopeScaling = .none,
        traits: DecoderTraits = DecoderTraits(), metadata: GeneralMetadata = GeneralMetadata()
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
        rope = RopeSettings(base: ropeBase, scaling: ropeScaling)
        self.normEpsilon = normEpsilon
        self.tiesEmbeddings = tiesEmbeddings
        self.bosID = bosID
        self.eosIDs = eosIDs
        self.rotaryStyle = rotaryStyle
        self.huggingFace = huggingFace
        self.generation = generation
        self.traits = traits
        self.metadata = metadata
    }

    public var ropeBase: Double { rope.base }

    /// The longest sequence: the context, less the rows of its position table that no token has.
    public var tokenLimit: Int {
        guard let positions = traits.learnedPositions else { return contextLength }
        return min(contextLength, positions.rows - positions.offset)
    }
}

extension ModelConfiguration {
    /// A tensor that the model has, with its Hugging Face key and its shape.
    struct ExpectedTensor {
        let name: String
        let shape: [Int]
    }

    /// Calls `body` with every tensor that the configuration asks for, in the order of the model.
    func forEachTensor<Failure: Error>(_ body: (ExpectedTensor) throws(Failure) -> Void) throws(Failure) {
        func expect(_ role: TensorRole, layer: Int? = nil, expert: Int? = nil) throws(Failure) {
            guard let name = tensorName(role, layer: layer, expert: expert) else { return }
            try body(ExpectedTensor(name: name, shape: shape(of: role, layer: layer)))
        }
        for role in [
            TensorRole.embedding, .positions, .classToken, .patchBias, .tokenTypes, .embeddingNorm,
            .embeddingNormBias,
            .relativeBias,
        ] { try expect(role) }
        for layer in 0..<layers {
            for role in TensorRole.blockRoles where !role.isExpert { try expect(role, layer: layer) }
            guard hasExperts(inLayer: layer) else { continue }
            for expert in 0..<shape(ofLayer: layer).experts {
                for role in TensorRole.blockRoles where role.isExpert {
                    try expect(role, layer: layer, expert: expert)
                }
            }
        }
        for role in [TensorRole.finalNorm, .finalNormBias, .head, .headBias] { try expect(role) }
    }

    /// The shape of every tensor by name.
    var tensorShapes: [String: [Int]] {
        var shapes: [String: [Int]] = [:]
        forEachTensor { shapes[$0.name] = $0.shape }
        return shapes
    }

    /// The head count of a query or key projection whose rows depend on ``rotaryStyle``, or of its bias; nil for
    /// other tensors, and for families whose files agree.
    package func rotaryHeads(of name: String) -> Int? {
        guard family.ggufRotary == .interleaved else { return nil }
        guard let place = family.names.place(huggingFace: name), let layer = place.layer else { return nil }
        switch place.role {
        case .query, .queryBias: return shape(ofLayer: layer).heads
        case .key, .keyBias: return shape(ofLayer: layer).keyValueHeads
        default: return nil
        }
    }

    /// A vector as a folder or a GGUF file has it: rows of rotary biases turned, norms with or without their offset.
    func vector(_ vector: Tensor, _ name: String, intoFolder: Bool) throws(CheckpointError) -> Tensor {
        if intoFolder, let order = folderRowOrder(of: name)?.inverse, let floats = vector.floats() {
            return Tensor(order.map { floats[$0] })
        }
        let shift = normShift(of: name, intoFolder: intoFolder)
        let target: RotaryStyle = intoFolder ? .halves : family.ggufRotary
        let heads = rotaryStyle == target ? nil : rotaryHeads(of: name)
        guard shift != 0 || heads != nil, var floats = vector.floats() else { return vector }
        if shift != 0 { for index in floats.indices { floats[index] += shift } }
        if let heads {
            let order = rotaryRowOrder(heads: heads, headWidth: headWidth, from: rotaryStyle, to: target)
            floats = order.map { floats[$0] }
        }
        return Tensor(floats)
    }

    /// What to add to a tensor's values when it goes into a folder, or into a GGUF file: Gemma's norms.
    func normShift(of name: String, intoFolder: Bool) -> Float {
        guard family.folderNormOffset != 0, family.names.place(huggingFace: name)?.role.isNormWeight ?? false
        else { return 0 }
        // A norm with an offset still to be added stands here as in a folder.
        return traits.normOffset - (intoFolder ? family.folderNormOffset : 0)
    }
}
