/// Why a chat template cannot be compiled or rendered: what is wrong, on which line, and what to do.
public enum TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    case syntax(line: Int, message: String)
    /// A part of Jinja that is not implemented.
    case unsupported(construct: String, line: Int)
    /// A value was needed and is not defined.
    case undefined(name: String, line: Int)
    /// An operation on values it does not take.
    case wrongType(operation: String, line: Int)
    /// The template itself called `raise_exception`.
    case raised(message: String)
    case tooDeep(line: Int, limit: Int)
    /// The template works longer than any chat template needs to.
    case tooMuchWork(line: Int, limit: Int)
    case tooLarge(line: Int, limit: Int)

    public var description: String {
        switch self {
        case .syntax(let line, let message): "chat template, line \(line): \(message)"
        case .unsupported(let construct, let line):
            "chat template, line \(line): \(construct) is not supported; "
                + "use raw prompts or give a simpler template"
        case .undefined(let name, let line):
            "chat template, line \(line): '\(name)' is not defined; pass it with the messages"
        case .wrongType(let operation, let line): "chat template, line \(line): \(operation)"
        case .raised(let message): "the chat template refuses these messages: \(message)"
        case .tooDeep(let line, let limit):
            "chat template, line \(line): nested more than \(limit) levels deep"
        case .tooMuchWork(let line, let limit):
            "chat template, line \(line): more than \(limit) steps; the template seems not to end"
        case .tooLarge(let line, let limit):
            "chat template, line \(line): makes a text or list of more than \(limit) bytes or items"
        }
    }
}
