/// What a tensor of a decoder is for, in the order of the model.
package enum TensorRole: Sendable, CaseIterable {
    case embedding, positions
    /// Of the first position of an image, and of what its patches are multiplied with.
    case classToken, patchBias
    case tokenTypes, embeddingNorm, embeddingNormBias, relativeBias
    case attentionNorm, attentionNormBias
    case query, queryBias, key, keyBias, value, valueBias, queryKeyValue, queryKeyValueBias
    case queryNorm, keyNorm, output, outputBias, postAttentionNorm
    case feedForwardNorm, feedForwardNormBias
    case gate, up, gateUp, upBias, down, downBias
    /// The scores of experts, and the score that the shared expert's output is multiplied with.
    case router, sharedRouter
    case sharedGate, sharedUp, sharedDown
    /// One for each expert.
    case expertGate, expertUp, expertDown
    case postFeedForwardNorm
    case finalNorm, finalNormBias, head, headBias

    static let blockRoles = allCases.filter(\.isInBlock)

    /// Whether each block has one of its own.
    package var isInBlock: Bool {
        switch self {
        case .embedding, .positions, .classToken, .patchBias, .tokenTypes, .embeddingNorm, .embeddingNormBias,
            .relativeBias, .finalNorm, .finalNormBias, .head, .headBias:
            false
        default: true
        }
    }

    /// Whether ``DecoderTraits/normOffset`` is added to its values.
    var isNormWeight: Bool {
        switch self {
        case .attentionNorm, .queryNorm, .keyNorm, .postAttentionNorm, .feedForwardNorm, .postFeedForwardNorm,
            .finalNorm, .embeddingNorm:
            true
        default: false
        }
    }

    /// A matrix of a block: what Conv1D checkpoints hold transposed.
    var isLinear: Bool {
        switch self {
        case .query, .key, .value, .queryKeyValue, .output, .gate, .up, .gateUp, .down: true
        case .sharedGate, .sharedUp, .sharedDown, .expertGate, .expertUp, .expertDown: true
        default: false
        }
    }

    /// Whether each expert of a block has one of its own.
    package var isExpert: Bool {
        switch self {
        case .expertGate, .expertUp, .expertDown: true
        default: false
        }
    }

    /// Scores that choose experts: never rounded to a packed format.
    var isRouter: Bool { self == .router || self == .sharedRouter }
}

/// A tensor's place in a model: what it is for, in which block, of which expert.
package struct TensorPlace: Sendable, Equatable {
    package let role: TensorRole
    package let layer: Int?
    package let expert: Int?

    init(role: TensorRole, layer: Int? = nil, expert: Int? = nil) {
        self.role = role
        self.layer = layer
        self.expert = expert
    }
}

extension ModelConfiguration {
    /// Whether a model of this configuration has such a tensor.
    ///
    /// - Parameter layer: of roles in a block; nil: in any of the blocks.
    package func has(_ role: TensorRole, layer: Int? = nil) -> Bool {
        let hasExperts = layer.map { self.hasExperts(inLayer: $0) } ?? (traits.experts != nil)
        let isDense =
            layer.map { !self.hasExperts(inLayer: $0) } ?? (traits.experts?.isEverywhere(layers) != true)
        switch role {
        case .embedding, .output: return true
        case .attentionNorm: return traits.hasBranchNorms && !(traits.omitsFirstNorm && layer == 0)
        case .feedForwardNorm: return traits.hasBranchNorms && !traits.sharesBranchNorm
        case .finalNorm: return traits.hasFinalNorm
        case .classToken, .patchBias: return traits.image != nil
        case .tokenTypes: return traits.tokenTypes > 0
        case .embeddingNorm: return traits.hasEmbeddingNorm
        case .embeddingNormBias: return traits.hasEmbeddingNorm && hasNormBias
        case .relativeBias: return traits.relativeBias != nil
        case .headBias: return traits.hasHead && traits.hasHeadBias
        case .gate: return isDense && traits.isGated && !traits.fusesGateUp
        case .up: return isDense && !traits.fusesGateUp
        case .gateUp: return isDense && traits.fusesGateUp
        case .down: return isDense
        case .upBias, .downBias: return isDense && traits.hasFeedForwardBiases
        case .router, .expertGate, .expertUp, .expertDown: return hasExperts
        case .sharedRouter, .sharedGate, .sharedUp, .sharedDown:
            return hasExperts && (traits.experts?.sharedWidth ?? 0) > 0
        case .head: return traits.hasHead && !tiesEmbeddings
        case .positions: return traits.learnedPositions != nil
        case .attentionNormBias: return hasNormBias && has(.attentionNorm, layer: layer)
        case .feedForwardNormBias: return hasNormBias && has(.feedForwardNorm, layer: layer)
        case .finalNormBias: return hasNormBias && traits.hasFinalNorm
        case .query, .key, .value: return !traits.fusesQueryKeyValue
        case .queryKeyValue: return traits.fusesQueryKeyValue
        case .queryBias, .keyBias, .valueBias:
            return traits.hasQueryKeyValueBiases && !traits.fusesQueryKeyValue
        case .queryKeyValueBias: return traits.hasQueryKeyValueBiases && traits.fusesQueryKeyValue
        case .queryNorm, .keyNorm: return traits.hasQueryKeyNorms
        case .outputBias: return traits.hasOutputBias
        case .postAttentionNorm, .postFeedForwardNorm: return traits.hasSandwichNorms
        }
    }

    private var hasNormBias: Bool { traits.norm == .layer && traits.hasNormBiases }

    /// Whether a block has experts in place of one feed-forward network.
    package func hasExperts(inLayer layer: Int) -> Bool { traits.experts?.contains(layer: layer) ?? false }

    /// The shape of such a tensor, outermost first.
    package func shape(of role: TensorRole, layer: Int? = nil) -> [Int] {
        let own = layer.map(shape(ofLayer:)) ?? widestLayer
        let queryRows = own.heads * headWidth
        let keyRows = own.keyValueHeads * headWidth
        let feedForwardWidth = own.feedForwardWidth
        switch role {
        case .embedding:
            if let image = traits.image { return [width, image.patchValues] }
            return [vocabularySize, width]
        case .head: return [vocabularySize, width]
        case .headBias: return [vocabularySize]
        case .positions: return [traits.learnedPositions?.rows ?? 0, width]
        case .tokenTypes: return [traits.tokenTypes, width]
        case .relativeBias: return [traits.relativeBias?.buckets ?? 0, heads]
        case .query: return [queryRows, width]
        case .queryBias: return [queryRows]
        case .key, .value: return [keyRows, width]
        case .keyBias, .valueBias: return [keyRows]
        case .queryKeyValue: return [queryRows + 2 * keyRows, width]
        case .queryKeyValueBias: return [queryRows + 2 * keyRows]
        case .queryNorm: return [traits.normsWholeQueries ? queryRows : headWidth]
        case .keyNorm: return [traits.normsWholeQueries ? keyRows : headWidth]
        case .output: return [width, queryRows]
        case .gate, .up: return [feedForwardWidth, width]
        case .gateUp: return [2 * feedForwardWidth, width]
        case .upBias: return [feedForwardWidth]
        case .down: return [width, feedForwardWidth]
        case .router: return [own.experts, width]
        case .sharedRouter: return [1, width]
        case .sharedGate, .sharedUp: return [traits.experts?.sharedWidth ?? 0, width]
        case .sharedDown: return [width, traits.experts?.sharedWidth ?? 0]
        case .expertGate, .expertUp: return [traits.experts?.width ?? 0, width]
        case .expertDown: return [width, traits.experts?.width ?? 0]
        case .attentionNorm, .attentionNormBias, .feedForwardNorm, .feedForwardNormBias, .finalNorm,
            .finalNormBias, .postAttentionNorm, .postFeedForwardNorm, .outputBias, .downBias, .classToken,
            .patchBias,
            .embeddingNorm, .embeddingNormBias:
            return [width]
        }
    }
}

extension ModelConfiguration {
    /// The shape that folders give a tensor where it is not ``shape(of:layer:)``.
    func folderShape(of name: String) -> [Int]? {
        guard let image = traits.image, let place = family.names.place(huggingFace: name) else { return nil }
        switch place.role {
        case .embedding: return [width, image.channels, image.patch, image.patch]
        case .positions: return [1] + shape(of: .positions)
        case .classToken: return [1, 1, width]
        default: return nil
        }
    }
}
