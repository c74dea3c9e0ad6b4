/// Expressions, from the loosest operator to the tightest, in Jinja's order of precedence.
extension TemplateParser {
    mutating func expression() throws(TemplateError) -> TemplateExpression { try conditional() }

    /// One expression, or several with commas between, which make a tuple.
    mutating func tuple(allowsCondition: Bool = true) throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var items = [try allowsCondition ? conditional() : or()]
        var isTuple = false
        while skip(",") {
            isTuple = true
            if atTupleEnd { break }
            items.append(try allowsCondition ? conditional() : or())
        }
        return isTuple ? try node(.tuple(items), origin, items) : items[0]
    }

    private var atTupleEnd: Bool {
        switch token.kind {
        case .variableEnd, .blockEnd, .end, .symbol(")"), .symbol("]"), .symbol("}"), .symbol("="): true
        default: false
        }
    }

    func node(
        _ kind: TemplateExpression.Kind, _ origin: TemplateOrigin, _ children: [TemplateExpression]
    ) throws(TemplateError) -> TemplateExpression {
        let depth = 1 + children.reduce(0) { max($0, $1.depth) }
        if depth > TemplateParser.maximumDepth {
            throw .tooDeep(origin: origin, limit: TemplateParser.maximumDepth)
        }
        return TemplateExpression(kind: kind, origin: origin, depth: depth)
    }

    private mutating func conditional() throws(TemplateError) -> TemplateExpression {
        try enter()
        defer { nesting -= 1 }
        let origin = token.origin
        var value = try or()
        while skip(name: "if") {
            let test = try or()
            let otherwise = skip(name: "else") ? try conditional() : nil
            value = try node(
                .conditional(value, test, otherwise), origin, [value, test] + (otherwise.map { [$0] } ?? []))
        }
        return value
    }

    private mutating func or() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try and()
        while skip(name: "or") {
            let right = try and()
            left = try node(.or(left, right), origin, [left, right])
        }
        return left
    }

    private mutating func and() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try not()
        while skip(name: "and") {
            let right = try not()
            left = try node(.and(left, right), origin, [left, right])
        }
        return left
    }

    private mutating func not() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        guard skip(name: "not") else { return try comparison() }
        try enter()
        defer { nesting -= 1 }
        let value = try not()
        return try node(.not(value), origin, [value])
    }

    private mutating func comparison() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        let left = try sum()
        var rest: [(operation: String, right: TemplateExpression)] = []
        while true {
            var operation: String?
            if case .symbol(let symbol) = token.kind, ["==", "!=", "<", "<=", ">", ">="].contains(symbol) {
                operation = symbol
                advance()
            } else if skip(name: "in") {
                operation = "in"
            } else if at(name: "not"), tokens[min(position + 1, tokens.count - 1)].kind == .name("in") {
                position += 2
                operation = "not in"
            }
            guard let operation else { break }
            rest.append((operation, try sum()))
        }
        return rest.isEmpty ? left : try node(.comparison(left, rest), origin, [left] + rest.map(\.right))
    }

    private mutating func sum() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try concatenation()
        while at("+") || at("-") {
            let operation = at("+") ? "+" : "-"
            advance()
            var right = try concatenation()
            if operation == "+", left.isSafe != right.isSafe {
                if left.isSafe {
                    right = try node(.escaped(right), right.origin, [right])
                } else {
                    left = try node(.escaped(left), left.origin, [left])
                }
            }
            left = try node(.binary(operation, left, right), origin, [left, right])
        }
        return left
    }

    private mutating func concatenation() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try product()
        while skip("~") {
            let right = try product()
            left = try node(.binary("~", left, right), origin, [left, right])
        }
        return left
    }

    private mutating func product() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try power()
        while case .symbol(let operation) = token.kind, ["*", "/", "//", "%"].contains(operation) {
            advance()
            let right = try power()
            left = try node(.binary(operation, left, right), origin, [left, right])
        }
        return left
    }

    private mutating func power() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var left = try unary()
        while skip("**") {
            let right = try unary()
            left = try node(.binary("**", left, right), origin, [left, right])
        }
        return left
    }

    private mutating func unary(takesFilters: Bool = true) throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        var value: TemplateExpression
        if at("-") || at("+") {
            let isNegative = skip("-")
            if !isNegative { advance() }
            try enter()
            defer { nesting -= 1 }
            value = try unary(takesFilters: false)
            // A plus checks nothing and changes nothing.
            if isNegative { value = try node(.negated(value), origin, [value]) }
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return takesFilters ? try filters(value) : value
    }

    // MARK: operands

    mutating func primary() throws(TemplateError) -> TemplateExpression {
        let origin = token.origin
        switch token.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return try node(.literal(.bool(true)), origin, [])
            case "false", "False": return try node(.literal(.bool(false)), origin, [])
            case "none", "None": return try node(.literal(.none), origin, [])
            default: return try node(.name(name), origin, [])
            }
        case .string(var text):
            advance()
            while case .string(let more) = token.kind {
                text += more
                advance()
            }
            return try node(.literal(.string(text)), origin, [])
        case .integer(let value):
            advance()
            return try node(.literal(.integer(value)), origin, [])
        case .number(let value):
            advance()
            return try node(.literal(.number(value)), origin, [])
        case .symbol("("):
            advance()
            try enter()
            defer { nesting -= 1 }
            if skip(")") { return try node(.tuple([]), origin, []) }
            let value = try tuple()
            try expect(")")
            return value
        case .symbol("["):
            advance()
            let items = try list(until: "]")
            return try node(.list(items), origin, items)
        case .symbol("{"):
            advance()
            return try dictionary(origin: origin)
        default: throw unexpected(expected: "a value")
        }
    }

    private mutating func list(until end: String) throws(TemplateError) -> [TemplateExpression] {
        var items: [TemplateExpression] = []
        while !skip(end) {
            if !items.isEmpty {
                try expect(",")
                if skip(end) { break }
            }
            items.append(try expression())
        }
        return items
    }

    private mutating func dictionary(origin: TemplateOrigin) throws(TemplateError) -> TemplateExpression {
        var pairs: [(key: TemplateExpression, value: TemplateExpression)] = []
        while !skip("}") {
            if !pairs.isEmpty {
                try expect(",")
                if skip("}") { break }
            }
            let key = try expression()
            try expect(":")
            pairs.append((key, try expression()))
        }
        return try node(.dictionary(pairs), origin, pairs.flatMap { [$0.key, $0.value] })
    }

    mutating func postfix(_ start: TemplateExpression) throws(TemplateError) -> TemplateExpression {
        var value = start
        while true {
            let origin = token.origin
            if skip(".") {
                if case .integer(let index) = token.kind {
                    advance()
                    value = try node(
                        .item(value, try node(.literal(.integer(index)), origin, [])), origin, [value])
                } else {
                    value = try node(.attribute(value, try expectName()), origin, [value])
                }
            } else if skip("[") {
                value = try item(of: value, origin: origin)
            } else if skip("(") {
                let arguments = try arguments()
                value = try node(.call(value, arguments), origin, [value] + arguments.all)
            } else {
                return value
            }
        }
    }

    private mutating func item(of value: TemplateExpression, origin: TemplateOrigin) throws(TemplateError)
        -> TemplateExpression
    {
        let start = at(":") ? nil : try expression()
        if let start, skip("]") { return try node(.item(value, start), origin, [value, start]) }
        if at(",") { throw .unsupported(construct: "a subscript with a comma", origin: origin) }
        try expect(":")
        let stop = at(":") || at("]") ? nil : try expression()
        var step: TemplateExpression?
        if skip(":"), !at("]") { step = try expression() }
        try expect("]")
        return try node(
            .slice(value, start, stop, step), origin, [value] + [start, stop, step].compactMap { $0 })
    }

    mutating func arguments() throws(TemplateError) -> TemplateArguments {
        var result = TemplateArguments()
        var isFirst = true
        while !skip(")") {
            if !isFirst {
                try expect(",")
                if skip(")") { break }
            }
            isFirst = false
            if at("*") || at("**") {
                let isList = skip("*")
                if !isList { advance() }
                guard isList ? result.list == nil : result.mapping == nil else {
                    throw .unsupported(construct: "two arguments with '*'", origin: token.origin)
                }
                if isList { result.list = try expression() } else { result.mapping = try expression() }
                continue
            }
            if case .name(let name) = token.kind,
                tokens[min(position + 1, tokens.count - 1)].kind == .symbol("=")
            {
                position += 2
                result.named.append((name, try expression()))
            } else {
                guard result.named.isEmpty, result.list == nil, result.mapping == nil else {
                    throw .syntax(origin: token.origin, message: "a positional argument after a named one")
                }
                result.positional.append(try expression())
            }
        }
        return result
    }

    /// `|filter` and `is test`, which bind alike.
    ///
    /// - Parameter isInline: begins with the name of a filter.
    mutating func filters(
        _ start: TemplateExpression, isInline: Bool = false
    ) throws(TemplateError) -> TemplateExpression {
        var value = start
        var isInline = isInline
        while true {
            let origin = token.origin
            if isInline || skip("|") {
                isInline = false
                let name = try filterName()
                let arguments = skip("(") ? try arguments() : TemplateArguments()
                guard conditions > 0 || TemplateFilters.names.contains(name) else {
                    throw .unsupported(construct: "the filter '\(name)'", origin: origin)
                }
                value = try node(.filter(value, name, arguments), origin, [value] + arguments.all)
            } else if skip(name: "is") {
                value = try test(value, origin: origin)
            } else {
                return value
            }
        }
    }

    private mutating func filterName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(".") { name += "." + (try expectName()) }
        return name
    }

    private mutating func test(_ value: TemplateExpression, origin: TemplateOrigin) throws(TemplateError)
        -> TemplateExpression
    {
        let isNegated = skip(name: "not")
        let name = try filterName()
        guard conditions > 0 || TemplateTests.names.contains(name) else {
            throw .unsupported(construct: "the test '\(name)'", origin: origin)
        }
        var arguments: [TemplateExpression] = []
        switch token.kind {
        case .symbol("("):
            advance()
            arguments = try self.arguments().positional
        case .name(let word) where !["else", "or", "and", "if", "is", "in", "not"].contains(word):
            arguments = [try postfix(try primary())]
        case .string, .integer, .number, .symbol("["), .symbol("{"):
            arguments = [try postfix(try primary())]
        default: break
        }
        return try node(.test(value, name, arguments, isNegated: isNegated), origin, [value] + arguments)
    }
}

extension TemplateArguments {
    var all: [TemplateExpression] { positional + named.map(\.value) + [list, mapping].compactMap { $0 } }
}
