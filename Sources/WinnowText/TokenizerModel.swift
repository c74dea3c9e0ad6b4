/// How words become tokens.
public enum TokenizerModel: String, Sendable, CaseIterable {
    /// Merges of bytes in GPT-2's spelling.
    case byteLevelBPE = "gpt2"
    /// Merges of characters, with tokens of bytes for those that have none: SentencePiece's BPE.
    case characterBPE = "llama"
    /// The most probable pieces: SentencePiece's unigram models.
    case unigram = "t5"
    /// The longest pieces from the left: BERT's.
    case wordPiece = "bert"

    /// Whether Winnow writes such a tokenizer out of its parts; unigram and WordPiece ones are
    /// only read and copied.
    public var canBeWritten: Bool { self == .byteLevelBPE || self == .characterBPE }

    /// The name under `tokenizer.ggml.model` in GGUF files.
    public var ggufName: String { rawValue }

    static var knownNames: String {
        "gpt2, llama, gemma4, t5 and bert in GGUF files, BPE, Unigram and WordPiece else"
    }
}
