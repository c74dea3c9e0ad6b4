/// What a tensor of a decoder is for, in the order of the model.
package enum TensorRole: Sendable, CaseIterable {
    case embedding, positions
    case attentionNorm, attentionNormBias
    case query, queryBias, key, keyBias, value, valueBias, queryKeyValue, queryKeyValueBias
    case queryNorm, keyNorm, output, outputBias, postAttentionNorm
    case feedForwardNorm, feedForwardNormBias
    case gate, up, gateUp, upBias, down, downBias, postFeedForwardNorm
    case finalNorm, finalNormBias, head

    static let blockRoles = allCases.filter(\.isInBlock)

    /// Whether each block has one of its own.
    package var isInBlock: Bool {
        switch self {
        case .embedding, .positions, .finalNorm, .finalNormBias, .head: false
        default: true
        }
    }

    /// Whether ``DecoderTraits/normOffset`` is added to its values.
    var isNormWeight: Bool {
        switch self {
        case .attentionNorm, .queryNorm, .keyNorm, .postAttentionNorm, .feedForwardNorm, .postFeedForwardNorm,
            .finalNorm:
            true
        default: false
        }
    }

    /// A matrix of a block: what Conv1D checkpoints hold transposed.
    var isLinear: Bool {
        switch self {
        case .query, .key, .value, .queryKeyValue, .output, .gate, .up, .gateUp, .down: true
        default: false
        }
    }
}

extension ModelConfiguration {
    /// Whether a model of this configuration has such a tensor.
    package func has(_ role: TensorRole) -> Bool {
        switch role {
        case .embedding, .attentionNorm, .output, .feedForwardNorm, .down, .finalNorm: true
        case .head: !tiesEmbeddings
        case .positions: traits.learnedPositions != nil
        case .attentionNormBias, .feedForwardNormBias, .finalNormBias: traits.norm == .layer
        case .query, .key, .value: !traits.fusesQueryKeyValue
        case .queryKeyValue: traits.fusesQueryKeyValue
        case .queryBias, .keyBias, .valueBias: traits.hasQueryKeyValueBiases && !traits.fusesQueryKeyValue
        case .queryKeyValueBias: traits.hasQueryKeyValueBiases && traits.fusesQueryKeyValue
        case .queryNorm, .keyNorm: traits.hasQueryKeyNorms
        case .outputBias: traits.hasOutputBias
        case .postAttentionNorm, .postFeedForwardNorm: traits.hasSandwichNorms
        case .gate: traits.isGated && !traits.fusesGateUp
        case .up: !traits.fusesGateUp
        case .gateUp: traits.fusesGateUp
        case .upBias, .downBias: traits.hasFeedForwardBiases
        }
    }

    /// The shape of such a tensor, outermost first.
    package func shape(of role: TensorRole) -> [Int] {
        let queryRows = heads * headWidth
        let keyRows = keyValueHeads * headWidth
        switch role {
        case .embedding, .head: return [vocabularySize, width]
        case .positions: return [traits.learnedPositions?.rows ?? 0, width]
        case .query: return [queryRows, width]
        case .queryBias: return [queryRows]
        case .key, .value: return [keyRows, width]
        case .keyBias, .valueBias: return [keyRows]
        case .queryKeyValue: return [queryRows + 2 * keyRows, width]
        case .queryKeyValueBias: return [queryRows + 2 * keyRows]
        case .queryNorm, .keyNorm: return [headWidth]
        case .output: return [width, queryRows]
        case .gate, .up: return [feedForwardWidth, width]
        case .gateUp: return [2 * feedForwardWidth, width]
        case .upBias: return [feedForwardWidth]
        case .down: return [width, feedForwardWidth]
        case .attentionNorm, .attentionNormBias, .feedForwardNorm, .feedForwardNormBias, .finalNorm,
            .finalNormBias, .postAttentionNorm, .postFeedForwardNorm, .outputBias, .downBias:
            return [width]
        }
    }
}
