import WinnowCore
import WinnowIO
import WinnowWeights

/// A decoder: embedding, blocks, final norm, head; weights in whatever format their file has.
///
/// Not Sendable: it belongs to one engine, which may replace its parameters (pruning, adapters).
public final class LanguageModel: Module {
    public let configuration: ModelConfiguration
    public let embedding: Parameter
    public let blocks: [TransformerBlock]
    public let finalNorm: RMSNorm
    /// nil when the embedding's rows are the head's rows.
    public let head: Parameter?

    package init(
        configuration: ModelConfiguration, embedding: Parameter, blocks: [TransformerBlock],
        finalNorm: RMSNorm, head: Parameter?
    ) {
        self.configuration = configuration
        self.embedding = embedding
        self.blocks = blocks
        self.finalNorm = finalNorm
        self.head = head
    }

    /// The model of a checkpoint, with no copy of its matrices.
    ///
    /// - Throws: ``ModelError/unsupportedArchitecture(name:supported:)``, or the checkpoint's own error for a
    ///   missing or misshapen tensor.
    public convenience init(_ checkpoint: Checkpoint) throws {
        let name = checkpoint.configuration.architecture
        guard let architecture = Architectures.all.first(where: { $0.names.contains(name) }) else {
            throw ModelError.unsupportedArchitecture(
                name: name, supported: Architectures.all.flatMap(\.names).sorted())
        }
        try self.init(architecture.build(checkpoint))
    }

    private convenience init(_ parts: Parts) {
        self.init(
            configuration: parts.configuration, embedding: parts.embedding, blocks: parts.blocks,
            finalNorm: parts.finalNorm, head: parts.head)
    }

    /// What an architecture file makes of a checkpoint.
    package struct Parts {
        package let configuration: ModelConfiguration
        package let embedding: Parameter
        package let blocks: [TransformerBlock]
        package let finalNorm: RMSNorm
        package let head: Parameter?
    }

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        try body(embedding)
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
        return head == nil ? byteCount : byteCount - table + table / embedding.matrix.rows
    }
}

/// A family of models: how a checkpoint becomes a ``LanguageModel``.
public struct Architecture: Sendable {
    /// The values of `model_type` and `general.architecture` it answers to.
    public let names: [String]
    package let build: @Sendable (Checkpoint) throws -> LanguageModel.Parts
}

/// Every architecture that Winnow runs.
public enum Architectures {
    public static let all: [Architecture] = [.llama]
}

public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    case unsupportedArchitecture(name: String, supported: [String])
    case emptyPrompt
    case promptTooLong(tokens: Int, context: Int)
    case tokenOutOfRange(id: Int, vocabulary: Int)
    case cancelled

    public var description: String {
        switch self {
        case .unsupportedArchitecture(let name, let supported):
            "architecture '\(name)' is not supported; supported: \(supported.joined(separator: ", "))"
        case .emptyPrompt: "the prompt is empty: give at least one token"
        case .promptTooLong(let tokens, let context):
            "\(tokens) tokens do not fit the context of \(context): shorten the prompt or raise --context"
        case .tokenOutOfRange(let id, let vocabulary):
            "token id \(id) is outside the vocabulary of \(vocabulary): does the tokenizer belong to this model?"
        case .cancelled: "cancelled"
        }
    }
}
