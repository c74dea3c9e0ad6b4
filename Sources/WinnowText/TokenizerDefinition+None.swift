extension TokenizerDefinition {
    /// Of models that read no text: it has no tokens.
    public static let none = TokenizerDefinition(tokens: [])
}
