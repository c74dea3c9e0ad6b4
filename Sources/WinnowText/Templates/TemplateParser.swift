/// Reads the statements of a template.
struct TemplateParser {
    var tokens: [TemplateToken]
    var position = 0
    /// Open statements and parentheses.
    var nesting = 0
    private var loops = 0

    static let maximumNesting = 60
    static let maximumDepth = 200

    /// Known to Jinja or its extensions and deliberately left out.
    private static let unsupported: Set<String> = [
        "macro", "call", "filter", "include", "import", "from", "extends", "block", "with", "autoescape", "do",
        "trans", "debug",
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
        return .syntax(line: token.line, message: "unexpected \(token.text)\(wish)")
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
            throw .tooDeep(line: token.line, limit: TemplateParser.maximumNesting)
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
                if !ends.isEmpty { throw unexpected(expected: ends.sorted().map { "'\($0)'" }.joined(separator: " or ")) }
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
        let line = token.line
        if TemplateParser.unsupported.contains(name) {
            throw .unsupported(construct: "the statement '\(name)'", line: line)
        }
        switch name {
        case "if":
            advance()
            return try condition()
        case "for":
            advance()
            return try loop(line: line)
        case "set":
            advance()
            return try set(line: line)
        case "generation":
            advance()
            try expectBlockEnd()
            let (body, _) = try statements(until: ["endgeneration"])
            try expectBlockEnd()
            return .group(body)
        case "break", "continue":
            advance()
            guard loops > 0 else { throw .syntax(line: line, message: "'\(name)' outside a loop") }
            try expectBlockEnd()
            return name == "break" ? .exitLoop(line: line) : .nextPass(line: line)
        default: throw .syntax(line: line, message: "unknown statement '\(name)'")
        }
    }

    private mutating func condition() throws(TemplateError) -> TemplateStatement {
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

    private mutating func loop(line: Int) throws(TemplateError) -> TemplateStatement {
        let target = try names()
        guard skip(name: "in") else { throw unexpected(expected: "'in'") }
        let sequence = try tuple(allowsCondition: false)
        let filter = skip(name: "if") ? try expression() : nil
        if at(name: "recursive") { throw .unsupported(construct: "a recursive loop", line: line) }
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
                target: target, sequence: sequence, filter: filter, body: body, otherwise: otherwise, line: line))
    }

    private mutating func set(line: Int) throws(TemplateError) -> TemplateStatement {
        var target = try names()
        if case .name(let name) = target, skip(".") { target = .attribute(name, try expectName()) }
        if skip("=") {
            let value = try tuple()
            try expectBlockEnd()
            return .set(target, value, line: line)
        }
        if at("|") { throw .unsupported(construct: "a filter on a 'set' block", line: line) }
        try expectBlockEnd()
        // A loop cannot be left from inside the block.
        let outerLoops = loops
        loops = 0
        let (body, _) = try statements(until: ["endset"])
        loops = outerLoops
        try expectBlockEnd()
        return .capture(target, body: body, line: line)
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
