import WinnowJSON

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// `system`, `user`, `assistant` or what else the template knows.
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// Whose settings of Jinja hold.
public enum TemplateRules: Sendable {
    /// Hugging Face's transformers: `trim_blocks` and `lstrip_blocks`; what is not defined is empty text.
    case chat
    /// lm-evaluation-harness: white space stays as it stands; to print what is not defined is an error.
    case task
}

/// A model's chat template, compiled once: turns messages into the text the model was trained on.
///
/// The part of Jinja that chat templates use, rendered as Hugging Face's transformers does: `trim_blocks` and
/// `lstrip_blocks` on, `raise_exception` and `strftime_now` there, `tojson` without escapes for HTML. What is not implemented is
/// a ``TemplateError`` when compiling where that can be seen, else when rendering.
public struct ChatTemplate: Sendable {
    /// The template's text.
    public let source: String
    private let rules: TemplateRules
    private let statements: [TemplateStatement]

    static let maximumSourceBytes = 1 << 20

    public init(source: String, rules: TemplateRules = .chat) throws(TemplateError) {
        guard source.utf8.count <= ChatTemplate.maximumSourceBytes else {
            throw .tooLarge(origin: .start, limit: ChatTemplate.maximumSourceBytes)
        }
        self.source = source
        self.rules = rules
        var lexer = TemplateLexer(source, rules)
        var parser = TemplateParser(try lexer.tokenize())
        statements = try parser.template()
    }

    /// The prompt for some messages.
    ///
    /// - Parameter addGenerationPrompt: ends with the start of an assistant's turn.
    /// - Parameter extra: an object whose keys become variables too, such as `tools`.
    public func render(
        messages: [ChatMessage], addGenerationPrompt: Bool = true, bosToken: String? = nil,
        eosToken: String? = nil, extra: JSONValue = .null
    ) throws(TemplateError) -> String {
        let messages = messages.map { message -> JSONValue in
            ["role": .string(message.role), "content": .string(message.content)]
        }
        // Templates ask whether these two are defined: transformers passes them always.
        var context = JSONObject([
            ("messages", .array(messages)), ("tools", .null), ("documents", .null),
            ("add_generation_prompt", .bool(addGenerationPrompt)),
        ])
        if let bosToken { context["bos_token"] = .string(bosToken) }
        if let eosToken { context["eos_token"] = .string(eosToken) }
        for (key, value) in extra.object?.pairs ?? [] { context[key] = value }
        return try render(context: context)
    }

    /// The text of the template with exactly these variables.
    ///
    /// - Parameter date: what `strftime_now` spells; nil asks the system's clock when a template does.
    public func render(context: JSONObject, date: TemplateDate? = nil) throws(TemplateError) -> String {
        var variables: [String: TemplateValue] = [:]
        for (key, value) in context.pairs { variables[key] = TemplateValue(value) }
        for value in variables.values where value.depth > TemplateValue.maximumDepth {
            throw .tooDeep(origin: .start, limit: TemplateValue.maximumDepth)
        }
        var renderer = TemplateRenderer(context: variables, date: date, rules: rules)
        return try renderer.render(statements)
    }
}
