/// Runs a template's statements over a context, within limits on work and size.
struct TemplateRenderer {
    /// Innermost last. Loops and blocks have a scope of their own; conditions do not.
    var scopes: [[String: TemplateValue]]
    var namespaces: [TemplateDictionary] = []
    /// Macros that were met: a body of a `call` block has the scopes it stands in, others those they were met in.
    var macros: [(macro: TemplateMacro, depth: Int, scopes: [[String: TemplateValue]]?)] = []
    /// One-time sequences; empty once they were gone through.
    var generators: [[TemplateValue]] = []
    /// The texts of open blocks whose filters are being run.
    var bodies: [String] = []
    /// The body of a `call` block, for the call that comes next.
    var pendingCaller: Int?
    var date: TemplateDate?
    var output = ""
    /// Statements and expressions that are open.
    var levels = 0
    /// Steps and bytes so far.
    var work = 0

    static let maximumWork = 5_000_000
    static let maximumSize = 32 << 20
    static let maximumLevels = 400

    /// What a statement list does to the loop around it.
    enum Flow {
        case proceed, exitLoop, nextPass
    }

    private let rules: TemplateRules

    init(context: [String: TemplateValue], date: TemplateDate? = nil, rules: TemplateRules = .chat) {
        self.rules = rules
        scopes = [context]
        self.date = date
    }

    mutating func render(_ statements: [TemplateStatement]) throws(TemplateError) -> String {
        _ = try run(statements)
        return output
    }

    // MARK: limits

    /// Counts work; strings and lists count by their length.
    mutating func spend(_ steps: Int, origin: TemplateOrigin) throws(TemplateError) {
        work += steps
        if work > TemplateRenderer.maximumWork {
            throw .tooMuchWork(origin: origin, limit: TemplateRenderer.maximumWork)
        }
    }

    /// A new string of a template, counted.
    mutating func made(_ text: String, origin: TemplateOrigin) throws(TemplateError) -> TemplateValue {
        try check(size: text.utf8.count, origin: origin)
        return .string(text)
    }

    mutating func check(size: Int, origin: TemplateOrigin) throws(TemplateError) {
        if size > TemplateRenderer.maximumSize {
            throw .tooLarge(origin: origin, limit: TemplateRenderer.maximumSize)
        }
        try spend(size / 32, origin: origin)
    }

    /// A new list, counted, its depth checked.
    mutating func made(_ items: [TemplateValue], origin: TemplateOrigin) throws(TemplateError)
        -> TemplateValue
    {
        try spend(items.count, origin: origin)
        return try checked(.list(TemplateList(items)), origin: origin)
    }

    /// Counts an open statement or expression; macros that call themselves end here.
    mutating func enter(_ origin: TemplateOrigin) throws(TemplateError) {
        levels += 1
        if levels > TemplateRenderer.maximumLevels {
            throw .tooDeep(origin: origin, limit: TemplateRenderer.maximumLevels)
        }
    }

    func checked(_ value: TemplateValue, origin: TemplateOrigin) throws(TemplateError) -> TemplateValue {
        if value.depth > TemplateValue.maximumDepth {
            throw .tooDeep(origin: origin, limit: TemplateValue.maximumDepth)
        }
        return value
    }

    // MARK: statements

    @discardableResult
    mutating func run(_ statements: [TemplateStatement]) throws(TemplateError) -> Flow {
        for statement in statements {
            let flow = try run(statement)
            if flow != .proceed { return flow }
        }
        return .proceed
    }

    mutating func run(_ statement: TemplateStatement) throws(TemplateError) -> Flow {
        switch statement {
        case .text(let text): output += text
        case .output(let expression):
            let value = try evaluate(expression)
            if rules == .task, case .undefined(let name) = value {
                throw .undefined(name: name, origin: expression.origin)
            }
            let text = try text(of: value, origin: expression.origin)
            try check(
                size: output.utf8.count + text.utf8.count, written: text.utf8.count, origin: expression.origin
            )
            output += text
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test).isTrue { return try run(branch.body) }
            return try run(otherwise)
        case .loop(let loop): try run(loop)
        case .set(let target, let expression, let origin):
            try assign(target, evaluate(expression), origin: origin)
        case .capture(let target, let filters, let body, let origin):
            try assign(target, try filtered(try captured(body), by: filters), origin: origin)
        case .filterBlock(let filters, let body):
            let text = try text(of: filtered(try captured(body), by: filters), origin: filters.origin)
            try check(size: output.utf8.count + text.utf8.count, origin: filters.origin)
            output += text
        case .scoped(let values, let body):
            var scope: [String: TemplateValue] = [:]
            for (target, value) in values {
                guard case .name(let name) = target else { continue }
                scope[name] = try evaluate(value)
            }
            scopes.append(scope)
            let flow = try run(body)
            scopes.removeLast()
            return flow
        case .macro(let macro):
            try spend(32, origin: macro.origin)
            scopes[scopes.count - 1][macro.name] = .macro(macros.count)
            macros.append((macro, scopes.count, nil))
        case .callBlock(let call, let body):
            try spend(32, origin: call.origin)
            macros.append((body, scopes.count, scopes))
            pendingCaller = macros.count - 1
            let text = try text(of: evaluate(call), origin: call.origin)
            try check(size: output.utf8.count + text.utf8.count, origin: call.origin)
            output += text
        case .exitLoop: return .exitLoop
        case .nextPass: return .nextPass
        }
        return .proceed
    }

    /// The text of a body, in a scope of its own.
    mutating func captured(_ body: [TemplateStatement]) throws(TemplateError) -> String {
        let before = output
        output = ""
        scopes.append([:])
        try run(body)
        scopes.removeLast()
        let text = output
        output = before
        return text
    }

    mutating func filtered(
        _ text: String, by filters: TemplateExpression?
    ) throws(TemplateError) -> TemplateValue {
        guard let filters else { return .string(text) }
        bodies.append(text)
        defer { bodies.removeLast() }
        return try evaluate(filters)
    }

    mutating func check(size: Int, written: Int, origin: TemplateOrigin) throws(TemplateError) {
        if size > TemplateRenderer.maximumSize {
            throw .tooLarge(origin: origin, limit: TemplateRenderer.maximumSize)
        }
        try spend(1 + written / 32, origin: origin)
    }

    mutating func run(_ loop: TemplateLoop) throws(TemplateError) {
        var items = try self.items(of: evaluate(loop.sequence), origin: loop.origin)
        if let filter = loop.filter {
            var kept: [TemplateValue] = []
            for item in items {
                try spend(1, origin: loop.origin)
                scopes.append([:])
                try assign(loop.target, item, origin: loop.origin)
                if try evaluate(filter).isTrue { kept.append(item) }
                scopes.removeLast()
            }
            items = kept
        }
        if items.isEmpty {
            scopes.append([:])
            _ = try run(loop.otherwise)
            scopes.removeLast()
            return
        }
        for index in items.indices {
            try spend(1, origin: loop.origin)
            scopes.append(["loop": .loop(TemplateLoopState(index: index, items: items))])
            try assign(loop.target, items[index], origin: loop.origin)
            let flow = try run(loop.body)
            scopes.removeLast()
            if flow == .exitLoop { break }
        }
    }

    mutating func assign(
        _ target: TemplateTarget, _ value: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) {
        switch target {
        case .name(let name): scopes[scopes.count - 1][name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let number)? = lookUp(name) else {
                throw .wrongType(
                    operation: "'\(name).\(attribute)' is set, but '\(name)' is no namespace", origin: origin)
            }
            namespaces[number][attribute] = value
        case .names(let names):
            let parts = try items(of: value, origin: origin)
            guard parts.count == names.count else {
                throw .wrongType(
                    operation: "\(names.count) names for \(parts.count) values", origin: origin)
            }
            for (name, part) in zip(names, parts) { scopes[scopes.count - 1][name] = part }
        }
    }

    /// Functions that are there without being passed.
    static let functions: Set<String> = [
        "raise_exception", "strftime_now", "namespace", "dict", "range",
    ]

    func lookUp(_ name: String) -> TemplateValue? {
        for scope in scopes.reversed() {
            if let value = scope[name] { return value }
        }
        return nil
    }

    /// The values that a loop over a value visits.
    mutating func items(of value: TemplateValue, origin: TemplateOrigin) throws(TemplateError)
        -> [TemplateValue]
    {
        switch value {
        case .list(let list), .tuple(let list): return list.items
        case .generator(let number):
            let items = generators[number]
            generators[number] = []
            return items
        case .dictionary(let dictionary): return dictionary.keys.map(\.value)
        case .string(let text):
            try spend(text.utf8.count, origin: origin)
            return text.unicodeScalars.map { .string(String(Character($0))) }
        case .undefined: return []
        default: throw .wrongType(operation: "\(value.typeName) cannot be looped over", origin: origin)
        }
    }
}
