import WinnowIO
import WinnowText

/// The tokenizer and chat template of the tiny model.
enum TinyTokenizer {
    static func tokenizer() throws -> Tokenizer { try Tokenizer(try definition()) }

    static func template() throws -> ChatTemplate {
        try ChatTemplate(source: try definition().chatTemplate ?? "")
    }

    private static func definition() throws -> TokenizerDefinition {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return try Checkpoint.open(parts.joined(separator: "/") + "/Fixtures/tiny-llama/untied").tokenizer
    }
}
