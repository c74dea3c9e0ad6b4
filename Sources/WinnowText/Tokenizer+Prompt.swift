extension Tokenizer {
    /// The ids of a prompt: through a chat template, or the messages as they stand, a line each, without one.
    ///
    /// - Throws: ``TemplateError``.
    public func promptIDs(_ messages: [ChatMessage], _ template: ChatTemplate?) throws -> [TokenID] {
        guard let template else {
            let text = messages.map(\.content).joined(separator: "\n")
            return encode(text, special: .asText, addBOS: addsBOS)
        }
        return encode(
            try template.render(
                messages: messages, addGenerationPrompt: true, bosToken: bosID.map(piece) ?? "",
                eosToken: eosIDs.first.map(piece) ?? ""))
    }
}
