import WinnowCore
import WinnowIO
import WinnowWeights

/// A transformer: embedding, blocks, final norm, head; weights in whatever format their file has. A decoder, or an
/// encoder of texts or images, which has no head and may have no final norm.
///
/// Not Sendable: it belongs to one engine, which may replace its parameters (pruning, adapters).
public final class LanguageModel: Module {
    public let configuration: ModelConfiguration
    public let embedding: Parameter
    /// Learned embeddings of positions; nil with rotary ones.
    public let positions: Parameter?
    public let embeddingParts: EmbeddingParts
    public let blocks: [TransformerBlock]
    public let finalNorm: Norm?
    /// nil when the embedding's rows are the head's rows, and without logits.
    public let head: Parameter?
    public let headBias: Parameter?

    package init(
        configuration: ModelConfiguration, embedding: Parameter, positions: Parameter? = nil,
        embeddingParts: EmbeddingParts = EmbeddingParts(), blocks: [TransformerBlock], finalNorm: Norm?,
        head: Parameter?, headBias: Parameter? = nil
    ) {
        self.configuration = configuration
        self.embedding = embedding
        self.positions = positions
        self.embeddingParts = embeddingParts
        self.blocks = blocks
        self.finalNorm = finalNorm
        self.head = head
        self.headBias = headBias
    }

    /// The model of a checkpoint, with no copy of its matrices.
    ///
    /// - Throws: ``CheckpointError`` for a tensor that is missing or misshapen.
    public convenience init(_ checkpoint: Checkpoint) throws {
        let parts = try LanguageModel.parts(of: checkpoint)
        self.init(
            configuration: parts.configuration, embedding: parts.embedding, positions: parts.positions,
            embeddingParts: parts.embeddingParts, blocks: parts.blocks, finalNorm: parts.finalNorm,
            head: parts.head, headBias: parts.headBias)
    }

    /// What a checkpoint is made into.
    struct Parts {
        let configuration: ModelConfiguration
        let embedding: Parameter
        let positions: Parameter?
        let embeddingParts: EmbeddingParts
        let blocks: [TransformerBlock]
        let finalNorm: Norm?
        let head: Parameter?
        let headBias: Parameter?
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(embedding)
        if let positions { try body(positions) }
        try embeddingParts.visit(body)
        for block in blocks { try block.visit(body) }
        try finalNorm?.visit(body)
        if let head { try body(head) }
        if let headBias { try body(headBias) }
    }

    /// Whether it gives logits: of tokens, or of an image's labels. Other encoders give their last states.
    public var hasHead: Bool { configuration.traits.hasHead }

    /// - Throws: ``ModelError/noHead(architecture:)`` for a model that writes no text.
    public func requireHead() throws(ModelError) {
        guard hasHead, configuration.traits.isCausal else {
            throw .noHead(architecture: configuration.architecture)
        }
    }

    /// The matrix that makes logits, of a model that has them.
    public var headMatrix: WeightMatrix { (head ?? embedding).matrix }

    /// Weights in memory, in bytes as stored.
    public var byteCount: Int {
        var bytes = 0
        visit { parameter in
            switch parameter.value {
            case .matrix(let matrix): bytes += matrix.byteCount
            case .vector(let vector): bytes += vector.bytes.byteCount
            }
        }
        return bytes
    }

    /// Bytes of weights that a decoded token reads: all matrices but the rows of the embedding not looked up, and
    /// the experts that it does not go to.
    public var bytesPerToken: Int {
        let table = embedding.matrix.byteCount
        var bytes = head == nil ? byteCount : byteCount - table + table / embedding.matrix.rows
        if let positions {
            bytes -= positions.matrix.byteCount / positions.matrix.rows * (positions.matrix.rows - 1)
        }
        // Of the experts those that one token goes to, at their mean size.
        for case let mixture? in blocks.map(\.mixture) {
            var experts = 0
            for expert in mixture.experts { expert.visit { experts += $0.matrix.byteCount } }
            bytes -= experts - experts / mixture.experts.count * mixture.choice.used
        }
        return bytes
    }
}

public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyPrompt
    case promptTooLong(tokens: Int, context: Int)
    case tokenOutOfRange(id: Int, vocabulary: Int)
    case noHead(architecture: String)
    case noSuchInput(architecture: String, expected: String)
    case needsPooling(architecture: String)
    case cannotTrain(architecture: String, feature: String)
    case cancelled

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt is empty: give at least one token"
        case .promptTooLong(let tokens, let context):
            "\(tokens) tokens do not fit the context of \(context): shorten the prompt or raise --context"
        case .tokenOutOfRange(let id, let vocabulary):
            "token id \(id) is outside the vocabulary of \(vocabulary): does the tokenizer belong to this model?"
        case .noHead(let architecture):
            "a model of architecture '\(architecture)' is an encoder: it writes no text; use it with winnow embed"
        case .noSuchInput(let architecture, let expected):
            "a model of architecture '\(architecture)' reads \(expected)"
        case .needsPooling(let architecture):
            "a model of architecture '\(architecture)' does not say how it makes vectors: pass --pooling last or mean"
        case .cannotTrain(let architecture, let feature):
            "a model of architecture '\(architecture)' cannot be trained yet: \(feature)"
        case .cancelled: "cancelled"
        }
    }
}
