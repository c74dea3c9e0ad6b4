/// Where in a template's source something stands: line and column, from 1; columns count scalars.
public struct TemplateOrigin: Equatable, Sendable, CustomStringConvertible {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    static let start = TemplateOrigin(line: 1, column: 1)

    public var description: String { "line \(line), column \(column)" }
}

/// Why a chat template cannot be compiled or rendered: what is wrong, where, and what to do.
public enum TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    case syntax(origin: TemplateOrigin, message: String)
    /// A part of Jinja that is not implemented.
    case unsupported(construct: String, origin: TemplateOrigin)
    /// A value was needed and is not defined.
    case undefined(name: String, origin: TemplateOrigin)
    /// An operation on values it does not take.
    case wrongType(operation: String, origin: TemplateOrigin)
    /// The template itself called `raise_exception`.
    case raised(message: String)
    /// The message that the model shall go on with is not in what the template writes.
    case lostMessage
    case tooDeep(origin: TemplateOrigin, limit: Int)
    /// The template works longer than any chat template needs to.
    case tooMuchWork(origin: TemplateOrigin, limit: Int)
    case tooLarge(origin: TemplateOrigin, limit: Int)

    public var description: String {
        switch self {
        case .syntax(let origin, let message): "chat template, \(origin): \(message)"
        case .unsupported(let construct, let origin):
            "chat template, \(origin): \(construct) is not supported; "
                + "use raw prompts or give a simpler template"
        case .undefined(let name, let origin):
            "chat template, \(origin): '\(name)' is not defined; pass it with the messages"
        case .wrongType(let operation, let origin): "chat template, \(origin): \(operation)"
        case .raised(let message): "the chat template refuses these messages: \(message)"
        case .lostMessage:
            "the chat template does not write out the last message, which the model shall go on with"
        case .tooDeep(let origin, let limit):
            "chat template, \(origin): nested more than \(limit) levels deep"
        case .tooMuchWork(let origin, let limit):
            "chat template, \(origin): more than \(limit) steps; the template seems not to end"
        case .tooLarge(let origin, let limit):
            "chat template, \(origin): makes a text or list of more than \(limit) bytes or items"
        }
    }
}
