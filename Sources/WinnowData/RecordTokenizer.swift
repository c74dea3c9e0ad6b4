import WinnowText

/// Turns records into ids, each with whether it is to be learned.
///
/// A document begins with BOS where the tokenizer adds it and ends with the end-of-text token. Of a prompt
/// with its completion, and of a conversation, only what the model is to say is learned: the tokens past
/// those that the text up to there gives alone. Conversations go through the chat template, which writes its
/// own control tokens.
struct RecordTokenizer {
    let tokenizer: Tokenizer
    let template: ChatTemplate?
    private let bos: [TokenID]
    private let end: [TokenID]

    init(_ tokenizer: Tokenizer, template: ChatTemplate?) {
        self.tokenizer = tokenizer
        self.template = template
        bos = tokenizer.addsBOS ? tokenizer.bosID.map { [$0] } ?? [] : []
        end = (tokenizer.id(of: "<|endoftext|>") ?? tokenizer.definition.eosID).map { [$0] } ?? []
    }

    /// Whether pieces of a text may be tokenized one by one.
    var cutsTexts: Bool { tokenizer.definition.model == .byteLevelBPE }

    /// The ids of a piece of a text, with what begins and ends a document.
    func ids(piece: [UInt8], isFirst: Bool, isLast: Bool) -> [TokenID] {
        // What looks like a control token in a text is text.
        (isFirst ? bos : []) + tokenizer.encode(bytes: piece, special: .asText) + (isLast ? end : [])
    }

    /// - Parameter reason: what is thrown, from why the record cannot be used.
    func ids(
        of record: TrainingRecord, reason: (String) -> DataError
    ) throws(DataError) -> (ids: [TokenID], learned: [Range<Int>]) {
        switch record {
        case .text(let text):
            let ids = bos + tokenizer.encode(text, special: .asText) + end
            return (ids, [0..<ids.count])
        case .completion(let prompt, let completion):
            let before = bos + tokenizer.encode(prompt)
            let ids = bos + tokenizer.encode(prompt + completion) + end
            return (ids, [Self.common(before, ids)..<ids.count])
        case .messages(let messages): return try conversation(messages, reason)
        }
    }

    private func conversation(
        _ messages: [ChatMessage], _ reason: (String) -> DataError
    ) throws(DataError) -> (ids: [TokenID], learned: [Range<Int>]) {
        guard let template else {
            throw reason("messages need a model with a chat template; use \"prompt\" and \"completion\"")
        }
        func render(_ count: Int, prompt: Bool) throws(DataError) -> String {
            do {
                return try template.render(
                    messages: Array(messages[..<count]), addGenerationPrompt: prompt,
                    bosToken: tokenizer.bosID.map(tokenizer.piece) ?? "",
                    eosToken: tokenizer.definition.eosID.map(tokenizer.piece) ?? "")
            } catch { throw reason("\(error)") }
        }
        let whole = try render(messages.count, prompt: false), ids = tokenizer.encode(whole)
        var learned: [Range<Int>] = []
        for (index, message) in messages.enumerated() where message.role == "assistant" {
            let before = try render(index, prompt: true), after = try render(index + 1, prompt: false)
            guard whole.utf8.starts(with: before.utf8), whole.utf8.starts(with: after.utf8) else {
                throw reason(
                    "the chat template writes earlier turns differently once there are later ones: "
                        + "give one assistant's turn a line")
            }
            let first = Self.common(tokenizer.encode(before), ids)
            let last =
                after.utf8.count == whole.utf8.count ? ids.count : Self.common(tokenizer.encode(after), ids)
            if first < last { learned.append(first..<last) }
        }
        return (ids, learned)
    }

    /// How many ids two lists have in common from the start.
    private static func common(_ left: [TokenID], _ right: [TokenID]) -> Int {
        var count = 0
        while count < left.count, count < right.count, left[count] == right[count] { count += 1 }
        return count
    }
}
