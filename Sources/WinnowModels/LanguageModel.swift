import WinnowCore
import WinnowIO
import WinnowWeights

/// A decoder: embedding, blocks, final norm, head; weights in whatever format their file has.
///
/// Not Sendable: it belongs to one engine, which may replace its parameters (pruning, adapters).
public final class LanguageModel: Module {
    public let configuration: ModelConfiguration
    public let embedding: Parameter
    /// Learned embeddings of positions; nil with rotary ones.
    public let positions: Parameter?
    public let blocks: [TransformerBlock]
    public let finalNorm: Norm
    /// nil when the embedding's rows are the head's rows.
    public let head: Parameter?

    package init(
        configuration: ModelConfiguration, embedding: Parameter, positions: Parameter? = nil,
        blocks: [TransformerBlock], finalNorm: Norm, head: Parameter?
    ) {
        self.configuration = configuration
        self.embedding = embedding
        self.positions = positions
        self.blocks = blocks
        self.finalNorm = finalNorm
        self.head = head
    }

    /// The model of a checkpoint, with no copy of its matrices.
    ///
    /// - Throws: ``CheckpointError`` for a tensor that is missing or misshapen.
    public convenience init(_ checkpoint: Checkpoint) throws {
        let parts = try LanguageModel.parts(of: checkpoint)
        self.init(
            configuration: parts.configuration, embedding: parts.embedding, positions: parts.positions,
            blocks: parts.blocks, finalNorm: parts.finalNorm, head: parts.head)
    }

    /// What a checkpoint is made into.
    struct Parts {
        let configuration: ModelConfiguration
        let embedding: Parameter
        let positions: Parameter?
        let blocks: [TransformerBlock]
        let finalNorm: Norm
        let head: Parameter?
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(embedding)
        if let positions { try body(positions) }
        for block in blocks { try block.visit(body) }
        try finalNorm.visit(body)
        if let head { try body(head) }
    }

    /// The matrix that makes logits.
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

    /// Bytes of weights that a decoded token reads: all matrices but the rows of the embedding not looked up.
    public var bytesPerToken: Int {
        let table = embedding.matrix.byteCount
        var bytes = head == nil ? byteCount : byteCount - table + table / embedding.matrix.rows
        if let positions {
            bytes -= positions.matrix.byteCount / positions.matrix.rows * (positions.matrix.rows - 1)
        }
        return bytes
    }
}

public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyPrompt
    case promptTooLong(tokens: Int, context: Int)
    case tokenOutOfRange(id: Int, vocabulary: Int)
    case cancelled

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt is empty: give at least one token"
        case .promptTooLong(let tokens, let context):
            "\(tokens) tokens do not fit the context of \(context): shorten the prompt or raise --context"
        case .tokenOutOfRange(let id, let vocabulary):
            "token id \(id) is outside the vocabulary of \(vocabulary): does the tokenizer belong to this model?"
        case .cancelled: "cancelled"
        }
    }
}
