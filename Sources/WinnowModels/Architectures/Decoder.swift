import WinnowIO

extension LanguageModel {
    /// The modules of a checkpoint whose family's file (`WinnowIO/Families`) names their tensors.
    ///
    /// One builder makes all families: what sets one apart is in ``DecoderTraits``.
    static func parts(of checkpoint: Checkpoint) throws -> Parts {
        let builder = DecoderBuilder(checkpoint: checkpoint)
        let configuration = checkpoint.configuration
        return Parts(
            configuration: configuration,
            embedding: try builder.matrix(.embedding),
            positions: configuration.has(.positions) ? try builder.matrix(.positions) : nil,
            embeddingParts: try builder.embeddingParts(),
            blocks: try (0..<configuration.layers).map(builder.block),
            finalNorm: try builder.norm(.finalNorm, bias: .finalNormBias),
            head: configuration.has(.head) ? try builder.matrix(.head) : nil,
            headBias: try builder.optionalVector(.headBias, nil))
    }
}

private struct DecoderBuilder {
    let checkpoint: Checkpoint
    private var configuration: ModelConfiguration { checkpoint.configuration }

    init(checkpoint: Checkpoint) { self.checkpoint = checkpoint }

    func block(_ layer: Int) throws -> TransformerBlock {
        TransformerBlock(
            attentionNorm: try norm(.attentionNorm, bias: .attentionNormBias, layer),
            attention: try attention(layer),
            postAttentionNorm: try optionalNorm(.postAttentionNorm, layer),
            feedForwardNorm: try norm(.feedForwardNorm, bias: .feedForwardNormBias, layer),
            feedForward: configuration.hasExperts(inLayer: layer) ? nil : try feedForward(layer),
            mixture: try mixture(layer),
            postFeedForwardNorm: try optionalNorm(.postFeedForwardNorm, layer),
            normPlacement: configuration.traits.normPlacement)
    }

    func embeddingParts() throws -> EmbeddingParts {
        var parts = EmbeddingParts()
        parts.classToken = try optionalVector(.classToken, nil)
        parts.patchBias = try optionalVector(.patchBias, nil)
        parts.tokenTypes = configuration.has(.tokenTypes) ? try matrix(.tokenTypes) : nil
        parts.norm = try norm(.embeddingNorm, bias: .embeddingNormBias)
        parts.relativeBias = configuration.has(.relativeBias) ? try matrix(.relativeBias) : nil
        return parts
    }

    private func attention(_ layer: Int) throws -> SelfAttention {
        let query: Linear
        let key: Linear
        let value: Linear
        if configuration.traits.fusesQueryKeyValue {
            let fused = try linear(.queryKeyValue, bias: .queryKeyValueBias, layer)
            let own = configuration.shape(ofLayer: layer)
            let queryRows = own.heads * configuration.headWidth
            let keyRows = own.keyValueHeads * configuration.headWidth
            func part(_ rows: Range<Int>) -> Linear { Linear(fused.weight, bias: fused.bias, rows: rows) }
            query = part(0..<queryRows)
            key = part(queryRows..<queryRows + keyRows)
            value = part(queryRows + keyRows..<queryRows + 2 * keyRows)
        } else {
            query = try linear(.query, bias: .queryBias, layer)
            key = try linear(.key, bias: .keyBias, layer)
            value = try linear(.value, bias: .valueBias, layer)
        }
        return SelfAttention(
            query: query, key: key, value: value, queryNorm: try optionalNorm(.queryNorm, layer),
            keyNorm: try optionalNorm(.keyNorm, layer), output: try linear(.output, bias: .outputBias, layer))
    }

    private func feedForward(_ layer: Int) throws -> FeedForward {
        let gate: Linear?
        let up: Linear
        if configuration.traits.fusesGateUp {
            let fused = try matrix(.gateUp, layer)
            let width = configuration.shape(ofLayer: layer).feedForwardWidth
            gate = Linear(fused, rows: 0..<width)
            up = Linear(fused, rows: width..<2 * width)
        } else {
            gate = configuration.has(.gate) ? try linear(.gate, bias: nil, layer) : nil
            up = try linear(.up, bias: .upBias, layer)
        }
        return FeedForward(
            gate: gate, up: up, down: try linear(.down, bias: .downBias, layer),
            activation: configuration.traits.activation)
    }

    private func mixture(_ layer: Int) throws -> MixtureOfExperts? {
        guard let experts = configuration.traits.experts, configuration.hasExperts(inLayer: layer) else {
            return nil
        }
        func network(
            _ gate: TensorRole, _ up: TensorRole, _ down: TensorRole, expert: Int? = nil
        ) throws -> FeedForward {
            FeedForward(
                gate: Linear(try matrix(gate, layer, expert: expert)),
                up: Linear(try matrix(up, layer, expert: expert)),
                down: Linear(try matrix(down, layer, expert: expert)),
                activation: configuration.traits.activation)
        }
        let isShared = configuration.has(.sharedUp, layer: layer)
        return MixtureOfExperts(
            router: try matrix(.router, layer),
            choice: Router(used: experts.used, renormalises: experts.renormalises),
            experts: try (0..<configuration.shape(ofLayer: layer).experts).map {
                try network(.expertGate, .expertUp, .expertDown, expert: $0)
            },
            shared: isShared ? try network(.sharedGate, .sharedUp, .sharedDown) : nil,
            sharedRouter: isShared ? try matrix(.sharedRouter, layer) : nil)
    }

    private func linear(_ role: TensorRole, bias: TensorRole?, _ layer: Int) throws -> Linear {
        Linear(try matrix(role, layer), bias: try bias.flatMap { try optionalVector($0, layer) })
    }

    func norm(_ role: TensorRole, bias: TensorRole, _ layer: Int? = nil) throws -> Norm? {
        guard configuration.has(role, layer: layer) else { return nil }
        guard let weight = try optionalVector(role, layer) else { throw missing(role, layer) }
        return norm(
            weight, bias: try optionalVector(bias, layer), isLayerNorm: configuration.traits.norm == .layer)
    }

    private func optionalNorm(_ role: TensorRole, _ layer: Int) throws -> Norm? {
        try optionalVector(role, layer).map { norm($0, bias: nil, isLayerNorm: false) }
    }

    private func norm(_ weight: Parameter, bias: Parameter?, isLayerNorm: Bool) -> Norm {
        Norm(
            weight: weight, bias: bias, epsilon: configuration.normEpsilon,
            offset: configuration.traits.normOffset, isLayerNorm: isLayerNorm)
    }

    func matrix(_ role: TensorRole, _ layer: Int? = nil, expert: Int? = nil) throws -> Parameter {
        guard let name = configuration.tensorName(role, layer: layer, expert: expert) else {
            throw missing(role, layer)
        }
        return Parameter(name: name, value: .matrix(try checkpoint.matrix(name)))
    }

    func optionalVector(_ role: TensorRole, _ layer: Int?) throws -> Parameter? {
        guard let name = configuration.tensorName(role, layer: layer) else { return nil }
        return Parameter(name: name, value: .vector(try checkpoint.vector(name)))
    }

    /// The traits ask for a tensor that the family has no name for: its file is at fault.
    private func missing(_ role: TensorRole, _ layer: Int?) -> CheckpointError {
        .noSuchTensor(path: checkpoint.path, tensor: "\(role)\(layer.map { " of block \($0)" } ?? "")")
    }
}
