/// Reads the statements of a template.
struct TemplateParser {
    var tokens: [TemplateToken]
    var position = 0
    /// Open statements and parentheses.
    var nesting = 0
    private var loops = 0
    /// Open conditions: in them Jinja lets unknown filters and tests be until they are run.
    var conditions = 0

    static let maximumNesting = 60
    static let maximumDepth = 200

    /// Known to Jinja or its extensions and deliberately left out.
    private static let unsupported: Set<String> = [
        "include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug",
    ]

    init(_ tokens: [TemplateToken]) { self.tokens = tokens }

    var token: TemplateToken { tokens[min(position, tokens.count - 1)] }

    mutating func template() throws(TemplateError) -> [TemplateStatement] {
        let (body, end) = try statements(until: [])
        guard end == nil else { throw unexpected() }
        return body
    }

    // MARK: tokens

    mutating func advance() { position += 1 }

    func unexpected(expected: String? = nil) -> TemplateError {
        let wish = expected.map { ", expected \($0)" } ?? ""
        return .syntax(origin: token.origin, message: "unexpected \(token.text)\(wish)")
    }

    func at(_ symbol: String) -> Bool { token.kind == .symbol(symbol) }
    func at(name: String) -> Bool { token.kind == .name(name) }

    mutating func skip(_ symbol: String) -> Bool {
        guard at(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard at(name: name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws(TemplateError) {
        guard skip(symbol) else { throw unexpected(expected: "'\(symbol)'") }
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = token.kind else { throw unexpected(expected: "a name") }
        advance()
        return name
    }

    private mutating func expectBlockEnd() throws(TemplateError) {
        guard token.kind == .blockEnd else { throw unexpected(expected: "'%}'") }
        advance()
    }

    mutating func enter() throws(TemplateError) {
        nesting += 1
        if nesting > TemplateParser.maximumNesting {
            throw .tooDeep(origin: token.origin, limit: TemplateParser.maximumNesting)
        }
    }

    // MARK: statements

    /// Reads statements up to a block that starts with one of the names; the name is consumed.
    private mutating func statements(
        until ends: Set<String>
    ) throws(TemplateError) -> ([TemplateStatement], end: String?) {
        try enter()
        defer { nesting -= 1 }
        var result: [TemplateStatement] = []
        while true {
            switch token.kind {
            case .end:
                if !ends.isEmpty {
                    throw unexpected(expected: ends.sorted().map { "'\($0)'" }.joined(separator: " or "))
                }
                return (result, nil)
            case .data(let text):
                advance()
                result.append(.text(text))
            case .variableBegin:
                advance()
                let value = try tuple()
                guard token.kind == .variableEnd else { throw unexpected(expected: "'}}'") }
                advance()
                result.append(.output(value))
            case .blockBegin:
                advance()
                guard case .name(let name) = token.kind else { throw unexpected(expected: "a statement") }
                if ends.contains(name) {
                    advance()
                    return (result, name)
                }
                result.append(try statement(name))
            default: throw unexpected()
            }
        }
    }

    private mutating func statement(_ name: String) throws(TemplateError) -> TemplateStatement {
        let origin = token.origin
        if TemplateParser.unsupported.contains(name) {
            throw .unsupported(construct: "the statement '\(name)'", origin: origin)
        }
        switch name {
        case "if":
            advance()
            return try condition()
        case "for":
            advance()
            return try loop(origin: origin)
        case "set":
            advance()
            return try set(origin: origin)
        case "generation":
            advance()
            try expectBlockEnd()
            return .scoped([], body: try closedBody(until: "endgeneration"))
        case "with":
            advance()
            return try with()
        case "macro":
            advance()
            return .macro(try macro(named: try expectName(), until: "endmacro", origin: origin))
        case "call":
            advance()
            return try callBlock(origin: origin)
        case "filter":
            advance()
            let value = try filters(try node(.body, origin, []), isInline: true)
            try expectBlockEnd()
            return .filterBlock(value, body: try closedBody(until: "endfilter"))
        case "break", "continue":
            advance()
            guard loops > 0 else { throw .syntax(origin: origin, message: "'\(name)' outside a loop") }
            try expectBlockEnd()
            return name == "break" ? .exitLoop(origin: origin) : .nextPass(origin: origin)
        default: throw .syntax(origin: origin, message: "unknown statement '\(name)'")
        }
    }

    private mutating func condition() throws(TemplateError) -> TemplateStatement {
        conditions += 1
        defer { conditions -= 1 }
        var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
        while true {
            let test = try tuple(allowsCondition: false)
            try expectBlockEnd()
            let (body, end) = try statements(until: ["elif", "else", "endif"])
            branches.append((test, body))
            if end == "elif" { continue }
            try expectBlockEnd()
            guard end == "else" else { return .condition(branches, otherwise: []) }
            let (otherwise, _) = try statements(until: ["endif"])
            try expectBlockEnd()
            return .condition(branches, otherwise: otherwise)
        }
    }

    private mutating func loop(origin: TemplateOrigin) throws(TemplateError) -> TemplateStatement {
        let target = try names()
        guard skip(name: "in") else { throw unexpected(expected: "'in'") }
        let sequence = try tuple(allowsCondition: false)
        let filter = skip(name: "if") ? try expression() : nil
        if at(name: "recursive") { throw .unsupported(construct: "a recursive loop", origin: token.origin) }
        try expectBlockEnd()
        loops += 1
        let (body, end) = try statements(until: ["else", "endfor"])
        loops -= 1
        try expectBlockEnd()
        var otherwise: [TemplateStatement] = []
        if end == "else" {
            (otherwise, _) = try statements(until: ["endfor"])
            try expectBlockEnd()
        }
        return .loop(
            TemplateLoop(
                target: target, sequence: sequence, filter: filter, body: body, otherwise: otherwise,
                origin: origin))
    }

    private mutating func set(origin: TemplateOrigin) throws(TemplateError) -> TemplateStatement {
        var target = try names()
        if case .name(let name) = target, skip(".") { target = .attribute(name, try expectName()) }
        if skip("=") {
            let value = try tuple()
            try expectBlockEnd()
            return .set(target, value, origin: origin)
        }
        let filters = at("|") ? try filters(try node(.body, origin, [])) : nil
        try expectBlockEnd()
        return .capture(target, filters, body: try closedBody(until: "endset"), origin: origin)
    }

    /// A body that a loop around it cannot be left from.
    private mutating func closedBody(until end: String) throws(TemplateError) -> [TemplateStatement] {
        let outerLoops = loops
        loops = 0
        let (body, _) = try statements(until: [end])
        loops = outerLoops
        try expectBlockEnd()
        return body
    }

    private mutating func with() throws(TemplateError) -> TemplateStatement {
        var values: [(target: TemplateTarget, value: TemplateExpression)] = []
        while token.kind != .blockEnd {
            if !values.isEmpty { try expect(",") }
            let target = TemplateTarget.name(try expectName())
            try expect("=")
            values.append((target, try expression()))
        }
        try expectBlockEnd()
        // Unlike in the others, `break` may leave a loop around it.
        let (body, _) = try statements(until: ["endwith"])
        try expectBlockEnd()
        return .scoped(values, body: body)
    }

    /// The rest of a macro after its name, from the parameters on.
    private mutating func macro(
        named name: String, until end: String, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateMacro {
        try expect("(")
        let parameters = try parameters()
        try expectBlockEnd()
        return try macro(name, parameters, until: end, origin: origin)
    }

    private mutating func macro(
        _ name: String, _ parameters: [(name: String, value: TemplateExpression?)], until end: String,
        origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateMacro {
        let first = position
        let body = try closedBody(until: end)
        var takes = Set<String>()
        for case .name(let name) in tokens[first..<position].lazy.map(\.kind)
        where ["varargs", "kwargs", "caller"].contains(name) {
            takes.insert(name)
        }
        return TemplateMacro(name: name, parameters: parameters, body: body, takes: takes, origin: origin)
    }

    private mutating func parameters() throws(TemplateError) -> [(name: String, value: TemplateExpression?)] {
        var result: [(name: String, value: TemplateExpression?)] = []
        while !skip(")") {
            if !result.isEmpty { try expect(",") }
            let origin = token.origin
            let name = try expectName()
            let value = skip("=") ? try expression() : nil
            if value == nil, result.last?.value != nil {
                throw .syntax(origin: origin, message: "a parameter without a default after one with it")
            }
            result.append((name, value))
        }
        return result
    }

    private mutating func callBlock(origin: TemplateOrigin) throws(TemplateError) -> TemplateStatement {
        let parameters = skip("(") ? try parameters() : []
        let call = try expression()
        guard case .call = call.kind else {
            throw .syntax(origin: call.origin, message: "'call' without a call")
        }
        try expectBlockEnd()
        return .callBlock(call, body: try macro("caller", parameters, until: "endcall", origin: origin))
    }

    /// `a` or `a, b`, with or without parentheses.
    private mutating func names() throws(TemplateError) -> TemplateTarget {
        let isWrapped = skip("(")
        var names = [try expectName()]
        var isTuple = false
        while skip(",") {
            isTuple = true
            guard case .name(let name) = token.kind, name != "in" else { break }
            names.append(try expectName())
        }
        if isWrapped { try expect(")") }
        return isTuple ? .names(names) : .name(names[0])
    }
}
