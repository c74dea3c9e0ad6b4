import WinnowText

/// A part of a prompt: a turn of a conversation, or a stretch of plain text with what parts it from the next.
///
/// - Source: lm-evaluation-harness 0.4, api/utils.py and `build_qa_turn` of api/task.py.
struct TaskMessage {
    var role: String
    var content: String
    /// Written behind the content in plain text only.
    var delimiter = ""

    /// A question, with its answer where it has one, or with what the answer begins with.
    ///
    /// - Parameter delimiter: between question and answer.
    /// - Parameter end: behind an answer, in plain text.
    static func turn(
        _ question: String, prefix: String?, answer: String?, delimiter: String, end: String
    ) -> [TaskMessage] {
        let prefix = prefix ?? ""
        let isParted =
            prefix.isEmpty
            ? answer != nil : !question.isEmpty && !TaskMessage.isSpace(between: question, prefix)
        let asked = TaskMessage(role: "user", content: question, delimiter: isParted ? delimiter : "")
        if let answer {
            return [
                asked,
                TaskMessage(role: "assistant", content: joined(prefix, answer, by: " "), delimiter: end),
            ]
        }
        return prefix.isEmpty ? [asked] : [asked, TaskMessage(role: "assistant", content: prefix)]
    }

    /// Two texts, and the delimiter between them where both are there and neither has white space at the seam.
    static func joined(_ head: String, _ tail: String, by delimiter: String) -> String {
        head.isEmpty || tail.isEmpty || isSpace(between: head, tail) ? head + tail : head + delimiter + tail
    }

    private static func isSpace(between head: String, _ tail: String) -> Bool {
        head.unicodeScalars.last?.isPythonSpace == true || tail.unicodeScalars.first?.isPythonSpace == true
    }

    /// The messages of one user's turn: all of them but the system's, and an assistant's that is begun.
    static func oneTurn(_ messages: [TaskMessage]) -> [TaskMessage] {
        var asked = messages[...]
        let system = asked.first?.role == "system" ? asked.removeFirst() : nil
        let begun = asked.last?.role == "assistant" ? asked.removeLast() : nil
        if !asked.isEmpty { asked[asked.endIndex - 1].delimiter = "" }
        let user = TaskMessage(role: "user", content: text(asked))
        return [system, user, begun].compactMap { $0 }
    }

    static func text(_ messages: some Sequence<TaskMessage>) -> String {
        messages.reduce(into: "") { $0 += $1.content + $1.delimiter }
    }
}

/// How the prompts of tasks are written for a model.
public struct PromptStyle: Sendable {
    /// A model's chat template, and how its tokens for beginning and end are spelled.
    public struct Chat: Sendable {
        public var template: ChatTemplate
        public var bosToken: String?
        public var eosToken: String?
        /// Examples are turns of their own, else part of the one question.
        public var examplesAreTurns = true

        public init(_ template: ChatTemplate, _ tokenizer: Tokenizer) {
            self.template = template
            bosToken = tokenizer.bosID.map(tokenizer.piece)
            eosToken = tokenizer.eosIDs.first.map(tokenizer.piece)
        }
    }

    /// Stands before a task's own description.
    public var system = ""
    /// nil: plain text.
    public var chat: Chat?

    public init() {}

    /// - Throws: ``TemplateError``.
    func text(_ messages: [TaskMessage]) throws(TemplateError) -> String {
        guard let chat else { return TaskMessage.text(messages) }
        let turns = chat.examplesAreTurns ? messages : TaskMessage.oneTurn(messages)
        let isBegun = messages.last?.role == "assistant"
        func render(_ turns: [TaskMessage]) throws(TemplateError) -> String {
            let turns = turns.map { ChatMessage(role: $0.role, content: $0.content) }
            return isBegun
                ? try chat.template.render(
                    continuing: turns, bosToken: chat.bosToken, eosToken: chat.eosToken)
                : try chat.template.render(messages: turns, bosToken: chat.bosToken, eosToken: chat.eosToken)
        }
        do { return try render(turns) } catch let error {
            // Some templates take no system message: the harness then goes without.
            guard turns.first?.role == "system" else { throw error }
            return try render(Array(turns.dropFirst()))
        }
    }
}
