/// An expression of a template, with its line for messages and its depth for the limit.
struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        case literal(TemplateValue)
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
        case not(TemplateExpression)
        case negated(TemplateExpression)
        case and(TemplateExpression, TemplateExpression)
        case or(TemplateExpression, TemplateExpression)
        case binary(String, TemplateExpression, TemplateExpression)
        case comparison(TemplateExpression, [(operation: String, right: TemplateExpression)])
        /// Value, condition, otherwise.
        case conditional(TemplateExpression, TemplateExpression, TemplateExpression?)
    }

    var kind: Kind
    var line: Int
    var depth: Int
}

struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}

/// What a template does, in order.
indirect enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression)
    case condition([(test: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateLoop)
    case set(TemplateTarget, TemplateExpression, line: Int)
    case capture(TemplateTarget, body: [TemplateStatement], line: Int)
    /// A body that is rendered as if its tags were not there.
    case group([TemplateStatement])
    case exitLoop(line: Int)
    case nextPass(line: Int)
}

struct TemplateLoop: Sendable {
    var target: TemplateTarget
    var sequence: TemplateExpression
    var filter: TemplateExpression?
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
    var line: Int
}

/// What is assigned to.
enum TemplateTarget: Sendable {
    case name(String)
    case attribute(String, String)
    case names([String])
}
