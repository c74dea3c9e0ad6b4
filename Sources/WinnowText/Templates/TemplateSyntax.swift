/// An expression of a template, with its place for messages and its depth for the limit.
struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        case literal(TemplateValue)
        /// The text of the block whose filters these are.
        case body
        case name(String)
        case list([TemplateExpression])
        case tuple([TemplateExpression])
        case dictionary([(key: TemplateExpression, value: TemplateExpression)])
        case attribute(TemplateExpression, String)
        case item(TemplateExpression, TemplateExpression)
        case slice(TemplateExpression, TemplateExpression?, TemplateExpression?, TemplateExpression?)
        case call(TemplateExpression, TemplateArguments)
        case filter(TemplateExpression, String, TemplateArguments)
        case test(TemplateExpression, String, [TemplateExpression], isNegated: Bool)
        /// A text that is joined to one marked as safe: with escapes for HTML.
        case escaped(TemplateExpression)
        case not(TemplateExpression)
        case negated(TemplateExpression)
        case and(TemplateExpression, TemplateExpression)
        case or(TemplateExpression, TemplateExpression)
        case binary(String, TemplateExpression, TemplateExpression)
        case comparison(TemplateExpression, [(operation: String, right: TemplateExpression)])
        /// Value, condition, otherwise.
        case conditional(TemplateExpression, TemplateExpression, TemplateExpression?)
    }

    /// Whether the filter `safe` marks the value, as far as that can be seen here.
    var isSafe: Bool {
        switch kind {
        case .filter(_, let name, _): name == "safe"
        case .binary("+", let left, let right): left.isSafe || right.isSafe
        default: false
        }
    }

    var kind: Kind
    var origin: TemplateOrigin
    var depth: Int
}

struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
    /// `*list` and `**mapping`, each at most once.
    var list: TemplateExpression?
    var mapping: TemplateExpression?
}

/// What a template does, in order.
indirect enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression)
    case condition([(test: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateLoop)
    case set(TemplateTarget, TemplateExpression, origin: TemplateOrigin)
    /// The text of a body, through filters when there are some.
    case capture(TemplateTarget, TemplateExpression?, body: [TemplateStatement], origin: TemplateOrigin)
    /// A body in a scope of its own, with variables that are set first.
    case scoped([(target: TemplateTarget, value: TemplateExpression)], body: [TemplateStatement])
    case macro(TemplateMacro)
    /// A call whose macro finds the body under the name `caller`.
    case callBlock(TemplateExpression, body: TemplateMacro)
    /// A body whose text goes through filters: the expression's innermost value is ``TemplateExpression/Kind/body``.
    case filterBlock(TemplateExpression, body: [TemplateStatement])
    case exitLoop(origin: TemplateOrigin)
    case nextPass(origin: TemplateOrigin)
}

/// A `macro`, or the body of a `call` block.
struct TemplateMacro: Sendable {
    var name: String
    var parameters: [(name: String, value: TemplateExpression?)]
    var body: [TemplateStatement]
    /// Which of `varargs`, `kwargs` and `caller` the body names.
    var takes: Set<String>
    var origin: TemplateOrigin
}

struct TemplateLoop: Sendable {
    var target: TemplateTarget
    var sequence: TemplateExpression
    var filter: TemplateExpression?
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
    var origin: TemplateOrigin
}

/// What is assigned to.
enum TemplateTarget: Sendable {
    case name(String)
    case attribute(String, String)
    case names([String])
}
