import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

extension SyntheticShape {
    /// BERT's: learned positions, two kinds of segments, norms after each branch.
    var encoderConfiguration: ModelConfiguration {
        var configuration = ModelConfiguration(
            architecture: "bert", vocabularySize: vocabularySize, width: width, layers: layers, heads: heads,
            keyValueHeads: keyValueHeads, headWidth: width / heads, feedForwardWidth: feedForwardWidth,
            contextLength: 512, ropeBase: 10_000, normEpsilon: 1e-12, tiesEmbeddings: tiesEmbeddings,
            bosID: nil, eosIDs: [], rotaryStyle: .halves, huggingFace: JSONObject())
        configuration.traits = configuration.family.traits
        configuration.traits.tokenTypes = 2
        configuration.traits.learnedPositions = LearnedPositions(rows: 512, offset: 0)
        return configuration
    }
}

extension LanguageModel {
    /// A BERT with random weights: every block in `format`, the embedding in `headFormat`; biases 0, norms 1.
    static func syntheticEncoder(
        _ shape: SyntheticShape, format: WeightFormat, headFormat: WeightFormat,
        _ weights: inout SyntheticWeights
    ) throws -> LanguageModel {
        let configuration = shape.encoderConfiguration
        func vector(_ role: TensorRole, _ layer: Int?, _ count: Int, _ value: Float) -> Parameter {
            Parameter(
                name: configuration.tensorName(role, layer: layer) ?? "\(role)",
                value: .vector(Tensor([Float](repeating: value, count: count))))
        }
        func norm(_ role: TensorRole, bias: TensorRole, _ layer: Int? = nil) -> Norm {
            Norm(
                weight: vector(role, layer, shape.width, 1), bias: vector(bias, layer, shape.width, 0),
                epsilon: configuration.normEpsilon)
        }
        func matrix(
            _ role: TensorRole, _ layer: Int?, _ rows: Int, _ columns: Int, _ format: WeightFormat
        ) throws -> Parameter {
            try weights.matrix(
                configuration.tensorName(role, layer: layer) ?? "\(role)", rows, columns, format)
        }
        func linear(_ role: TensorRole, bias: TensorRole, _ layer: Int, _ rows: Int, _ columns: Int) throws
            -> Linear
        {
            Linear(
                try matrix(role, layer, rows, columns, format), bias: vector(bias, layer, rows, 0))
        }
        let (width, inner) = (shape.width, shape.feedForwardWidth)
        let keyWidth = width / shape.heads * shape.keyValueHeads
        let blocks = try (0..<shape.layers).map { layer in
            TransformerBlock(
                attentionNorm: norm(.attentionNorm, bias: .attentionNormBias, layer),
                attention: SelfAttention(
                    query: try linear(.query, bias: .queryBias, layer, width, width),
                    key: try linear(.key, bias: .keyBias, layer, keyWidth, width),
                    value: try linear(.value, bias: .valueBias, layer, keyWidth, width),
                    output: try linear(.output, bias: .outputBias, layer, width, width)),
                feedForwardNorm: norm(.feedForwardNorm, bias: .feedForwardNormBias, layer),
                feedForward: FeedForward(
                    gate: nil, up: try linear(.up, bias: .upBias, layer, inner, width),
                    down: try linear(.down, bias: .downBias, layer, width, inner), activation: .gelu),
                normPlacement: .after)
        }
        var parts = EmbeddingParts()
        parts.tokenTypes = try matrix(.tokenTypes, nil, 2, width, .f32)
        parts.norm = norm(.embeddingNorm, bias: .embeddingNormBias)
        return LanguageModel(
            configuration: configuration,
            embedding: try matrix(.embedding, nil, shape.vocabularySize, width, headFormat),
            positions: try matrix(.positions, nil, configuration.contextLength, width, .f32),
            embeddingParts: parts, blocks: blocks, finalNorm: nil, head: nil)
    }
}
