/// Runs a template's statements over a context, within limits on work and size.
struct TemplateRenderer {
    /// Innermost last. Loops and blocks have a scope of their own; conditions do not.
    var scopes: [[String: TemplateValue]]
    private var namespaces: [TemplateDictionary] = []
    /// Macros that were met: a body of a `call` block has the scopes it stands in, others those they were met in.
    var macros: [(macro: TemplateMacro, depth: Int, scopes: [[String: TemplateValue]]?)] = []
    /// One-time sequences; empty once they were gone through.
    private var generators: [[TemplateValue]] = []
    /// The texts of open blocks whose filters are being run.
    private var bodies: [String] = []
    /// The body of a `call` block, for the call that comes next.
    private var pendingCaller: Int?
    private var date: TemplateDate?
    private var output = ""
    /// Statements and expressions that are open.
    var levels = 0
    /// Steps and bytes so far.
    private var work = 0

    static let maximumWork = 5_000_000
    static let maximumSize = 32 << 20
    static let maximumLevels = 400

    /// What a statement list does to the loop around it.
    enum Flow {
        case proceed, exitLoop, nextPass
    }

    init(context: [String: TemplateValue], date: TemplateDate? = nil) {
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

    private mutating func run(_ statement: TemplateStatement) throws(TemplateError) -> Flow {
        switch statement {
        case .text(let text): output += text
        case .output(let expression):
            let text = try text(of: evaluate(expression), origin: expression.origin)
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

    private mutating func filtered(
        _ text: String, by filters: TemplateExpression?
    ) throws(TemplateError) -> TemplateValue {
        guard let filters else { return .string(text) }
        bodies.append(text)
        defer { bodies.removeLast() }
        return try evaluate(filters)
    }

    private mutating func check(size: Int, written: Int, origin: TemplateOrigin) throws(TemplateError) {
        if size > TemplateRenderer.maximumSize {
            throw .tooLarge(origin: origin, limit: TemplateRenderer.maximumSize)
        }
        try spend(1 + written / 32, origin: origin)
    }

    private mutating func run(_ loop: TemplateLoop) throws(TemplateError) {
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

    private mutating func assign(
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
    private static let functions: Set<String> = [
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

    // MARK: expressions

    mutating func evaluate(_ expression: TemplateExpression) throws(TemplateError) -> TemplateValue {
        let origin = expression.origin
        try spend(1, origin: origin)
        try enter(origin)
        defer { levels -= 1 }
        switch expression.kind {
        case .literal(let value): return value
        case .body: return .string(bodies.last ?? "")
        case .name(let name):
            if let value = lookUp(name) { return value }
            return TemplateRenderer.functions.contains(name) ? .function(name) : .undefined(name)
        case .list(let items): return try made(try evaluate(items), origin: origin)
        case .tuple(let items):
            return try checked(.tuple(TemplateList(try evaluate(items))), origin: origin)
        case .dictionary(let pairs):
            var result = TemplateDictionary()
            for (key, value) in pairs {
                guard let key = TemplateKey(try evaluate(key)) else {
                    throw .unsupported(construct: "a mapping's key of this type", origin: origin)
                }
                result[key] = try evaluate(value)
            }
            return try checked(.dictionary(result), origin: origin)
        case .attribute(let owner, let name):
            return try attribute(name, of: try evaluate(owner), path: owner, origin: origin)
        case .item(let owner, let key):
            return try item(try evaluate(key), of: try evaluate(owner), path: owner, origin: origin)
        case .slice(let owner, let start, let stop, let step):
            return try slice(
                try evaluate(owner), try bound(start), try bound(stop), try bound(step), origin: origin)
        case .call(let callee, let arguments): return try call(callee, arguments, origin: origin)
        case .filter(let value, let name, let arguments):
            return try filter(name, try evaluate(value), try evaluate(arguments), origin: origin)
        case .test(let value, let name, let arguments, let isNegated):
            return .bool(
                try test(name, try evaluate(value), try evaluate(arguments), origin: origin) != isNegated)
        case .escaped(let value):
            guard case .string(let text) = try evaluate(value) else {
                throw .unsupported(construct: "'+' of a safe text and something else", origin: origin)
            }
            return try made(text.escapedForHTML, origin: origin)
        case .not(let value): return .bool(!(try evaluate(value).isTrue))
        case .negated(let value): return try negated(try evaluate(value), origin: origin)
        case .and(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .or(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .binary(let operation, let left, let right):
            return try binary(operation, try evaluate(left), try evaluate(right), origin: origin)
        case .comparison(let first, let rest):
            var left = try evaluate(first)
            for (operation, right) in rest {
                let right = try evaluate(right)
                if try !compare(operation, left, right, origin: origin) { return .bool(false) }
                left = right
            }
            return .bool(true)
        case .conditional(let value, let test, let otherwise):
            if try evaluate(test).isTrue { return try evaluate(value) }
            return try otherwise.map { expression throws(TemplateError) in try evaluate(expression) }
                ?? .undefined("the value of an 'if' without 'else'")
        }
    }

    private mutating func evaluate(_ list: [TemplateExpression]) throws(TemplateError) -> [TemplateValue] {
        var result: [TemplateValue] = []
        for expression in list { result.append(try evaluate(expression)) }
        return result
    }

    private mutating func evaluate(_ arguments: TemplateArguments) throws(TemplateError) -> TemplateInputs {
        var result = TemplateInputs(positional: try evaluate(arguments.positional))
        if let list = arguments.list {
            result.positional += try items(of: evaluate(list), origin: list.origin)
        }
        for (name, value) in arguments.named { result.named[name] = try evaluate(value) }
        if let mapping = arguments.mapping {
            guard case .dictionary(let dictionary) = try evaluate(mapping) else {
                throw .wrongType(operation: "'**' needs a mapping", origin: mapping.origin)
            }
            for (key, value) in dictionary.pairs {
                guard case .string = key else {
                    throw .wrongType(operation: "'**' needs names", origin: mapping.origin)
                }
                result.named[key] = value
            }
        }
        return result
    }

    /// A sequence that can be gone through once.
    mutating func generator(_ items: [TemplateValue], origin: TemplateOrigin) throws(TemplateError)
        -> TemplateValue
    {
        try spend(items.count, origin: origin)
        for item in items { _ = try checked(item, origin: origin) }
        generators.append(items)
        return .generator(generators.count - 1)
    }

    private mutating func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression)
        if case .none = value { return nil }
        guard let integer = value.integer else {
            throw .wrongType(
                operation: "a slice needs integers, not \(value.typeName)", origin: expression.origin)
        }
        return integer
    }

    // MARK: parts of values

    private func attribute(
        _ name: String, of value: TemplateValue, path: TemplateExpression, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        let missing = TemplateValue.undefined(path.name.map { "\($0).\(name)" } ?? name)
        switch value {
        case .dictionary(let dictionary): return dictionary[name] ?? missing
        case .namespace(let number): return namespaces[number][name] ?? missing
        case .loop(let state):
            guard let found = state.attribute(name) else {
                throw .unsupported(construct: "'loop.\(name)'", origin: origin)
            }
            return found
        case .undefined(let owner): throw .undefined(name: owner, origin: origin)
        default: return missing
        }
    }

    private mutating func item(
        _ key: TemplateValue, of value: TemplateValue, path: TemplateExpression, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch (value, key) {
        case (.list(let list), _), (.tuple(let list), _):
            guard let index = key.integer else { break }
            let place = index < 0 ? index + list.items.count : index
            if list.items.indices.contains(place) { return list.items[place] }
        case (.string(let text), _):
            guard let index = key.integer else { break }
            try spend(text.utf8.count / 16, origin: origin)
            let scalars = Array(text.unicodeScalars)
            let place = index < 0 ? index + scalars.count : index
            if scalars.indices.contains(place) { return .string(String(Character(scalars[place]))) }
        case (.dictionary(let dictionary), _):
            if let key = TemplateKey(key), let found = dictionary[key] { return found }
            if case .string(let name) = key {
                return try attribute(name, of: value, path: path, origin: origin)
            }
        case (_, .string(let name)): return try attribute(name, of: value, path: path, origin: origin)
        case (.undefined(let owner), _): throw .undefined(name: owner, origin: origin)
        default: break
        }
        return .undefined(path.name.map { "an item of \($0)" } ?? "an item")
    }

    private mutating func slice(
        _ value: TemplateValue, _ start: Int?, _ stop: Int?, _ step: Int?, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        func pick<T>(_ items: [T]) throws(TemplateError) -> [T] {
            let step = step ?? 1
            guard step != 0, step > -Int.max else {
                throw .wrongType(operation: "a slice with step 0", origin: origin)
            }
            let count = items.count
            func place(_ bound: Int?, _ absent: Int) -> Int {
                guard let bound else { return absent }
                let low = step > 0 ? 0 : -1
                let high = step > 0 ? count : count - 1
                return min(max(bound < 0 ? max(bound, -count - 1) + count : bound, low), high)
            }
            let first = place(start, step > 0 ? 0 : count - 1)
            let end = place(stop, step > 0 ? count : -1)
            return Swift.stride(from: first, to: end, by: step).map { items[$0] }
        }
        switch value {
        case .list(let list): return try made(try pick(list.items), origin: origin)
        case .tuple(let list): return .tuple(TemplateList(try pick(list.items)))
        case .string(let text):
            try spend(text.utf8.count / 4, origin: origin)
            var result = String.UnicodeScalarView()
            result.append(contentsOf: try pick(Array(text.unicodeScalars)))
            return .string(String(result))
        case .undefined(let name): throw .undefined(name: name, origin: origin)
        default: throw .wrongType(operation: "\(value.typeName) cannot be sliced", origin: origin)
        }
    }

    // MARK: calls

    private mutating func call(
        _ callee: TemplateExpression, _ arguments: TemplateArguments, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        // The call of a `call` block is the outermost of its expression: the first that comes here.
        let caller = pendingCaller
        pendingCaller = nil
        if case .attribute(let owner, let method) = callee.kind {
            guard caller == nil else {
                throw .unsupported(construct: "a 'call' block of a method", origin: origin)
            }
            let value = try evaluate(owner)
            return try call(method, of: value, try evaluate(arguments), origin: origin)
        }
        let inputs = try evaluate(arguments)
        guard case .name(let name) = callee.kind else {
            guard case .macro(let number) = try evaluate(callee) else {
                throw .unsupported(construct: "a call of what is no macro", origin: origin)
            }
            return try call(macro: number, inputs, caller: caller, origin: origin)
        }
        if let value = lookUp(name) {
            if case .macro(let number) = value {
                return try call(macro: number, inputs, caller: caller, origin: origin)
            }
            throw .wrongType(operation: "'\(name)' is a value, not a function", origin: origin)
        }
        switch name {
        case "raise_exception":
            throw .raised(
                message: try inputs.first.map { value throws(TemplateError) in
                    try text(of: value, origin: origin)
                } ?? "")
        case "namespace", "dict":
            var content = TemplateDictionary()
            if case .dictionary(let start)? = inputs.first { content = start }
            for (key, value) in inputs.named.pairs { content[key] = value }
            if name == "dict" { return try checked(.dictionary(content), origin: origin) }
            namespaces.append(content)
            return .namespace(namespaces.count - 1)
        case "range": return try range(inputs, origin: origin)
        case "strftime_now":
            guard case .string(let format)? = inputs.value(0, "format"), inputs.positional.count < 2 else {
                throw .wrongType(operation: "strftime_now takes a format", origin: origin)
            }
            let now = date ?? TemplateDate.now
            date = now
            guard let text = now.formatted(format) else {
                throw .unsupported(construct: "a directive of the format '\(format)'", origin: origin)
            }
            return try made(text, origin: origin)
        default: throw .unsupported(construct: "the function '\(name)'", origin: origin)
        }
    }

    private mutating func range(_ inputs: TemplateInputs, origin: TemplateOrigin) throws(TemplateError)
        -> TemplateValue
    {
        let numbers = inputs.positional.compactMap(\.integer)
        guard (1...3).contains(numbers.count), numbers.count == inputs.positional.count,
            numbers.count < 3 || numbers[2] != 0
        else {
            throw .wrongType(operation: "range takes one to three integers, the step not 0", origin: origin)
        }
        let start = numbers.count > 1 ? numbers[0] : 0
        let stop = numbers.count > 1 ? numbers[1] : numbers[0]
        var items: [TemplateValue] = []
        for value in Swift.stride(from: start, to: stop, by: numbers.count > 2 ? numbers[2] : 1) {
            guard items.count < 100_000 else { throw .tooLarge(origin: origin, limit: 100_000) }
            items.append(.integer(value))
        }
        return try made(items, origin: origin)
    }
}

extension TemplateExpression {
    /// How a name or a path of names is written, for messages.
    var name: String? {
        switch kind {
        case .name(let name): name
        case .attribute(let owner, let name): owner.name.map { "\($0).\(name)" }
        default: nil
        }
    }
}

/// Arguments of a call, evaluated.
struct TemplateInputs {
    var positional: [TemplateValue] = []
    var named = TemplateDictionary()

    var first: TemplateValue? { positional.first }

    /// An argument by its place or its name.
    func value(_ place: Int, _ name: String) -> TemplateValue? {
        positional.indices.contains(place) ? positional[place] : named[name]
    }
}
