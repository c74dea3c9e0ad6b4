import WinnowIO
import WinnowText

/// A checkpoint opened for running: the model with the tokenizer and the chat template that came with it.
public struct LoadedModel {
    public let checkpoint: Checkpoint
    public let model: LanguageModel
    public let tokenizer: Tokenizer
    /// nil for models without one: base models.
    public let template: ChatTemplate?

    public init(_ checkpoint: Checkpoint) throws {
        self.checkpoint = checkpoint
        model = try LanguageModel(checkpoint)
        tokenizer = try Tokenizer(checkpoint.tokenizer)
        template = try checkpoint.tokenizer.chatTemplate.map { try ChatTemplate(source: $0) }
    }

    /// - Parameter path: a folder in Hugging Face layout or a GGUF file.
    public init(opening path: String) throws { try self.init(Checkpoint.open(path)) }
}
