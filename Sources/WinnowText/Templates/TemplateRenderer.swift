/// Runs a template's statements over a context, within limits on work and size.
struct TemplateRenderer {
    /// Innermost last. Loops and blocks have a scope of their own; conditions do not.
    private var scopes: [[String: TemplateValue]]
    private var namespaces: [TemplateDictionary] = []
    private var output = ""
    /// Steps and bytes so far.
    private var work = 0

    static let maximumWork = 5_000_000
    static let maximumSize = 32 << 20

    /// What a statement list does to the loop around it.
    private enum Flow {
        case proceed, exitLoop, nextPass
    }

    init(context: [String: TemplateValue]) { scopes = [context] }

    mutating func render(_ statements: [TemplateStatement]) throws(TemplateError) -> String {
        _ = try run(statements)
        return output
    }

    // MARK: limits

    /// Counts work; strings and lists count by their length.
    mutating func spend(_ steps: Int, line: Int) throws(TemplateError) {
        work += steps
        if work > TemplateRenderer.maximumWork {
            throw .tooMuchWork(line: line, limit: TemplateRenderer.maximumWork)
        }
    }

    /// A new string of a template, counted.
    mutating func made(_ text: String, line: Int) throws(TemplateError) -> TemplateValue {
        try check(size: text.utf8.count, line: line)
        return .string(text)
    }

    mutating func check(size: Int, line: Int) throws(TemplateError) {
        if size > TemplateRenderer.maximumSize {
            throw .tooLarge(line: line, limit: TemplateRenderer.maximumSize)
        }
        try spend(size / 32, line: line)
    }

    /// A new list, counted, its depth checked.
    mutating func made(_ items: [TemplateValue], line: Int) throws(TemplateError) -> TemplateValue {
        try spend(items.count, line: line)
        return try checked(.list(TemplateList(items)), line: line)
    }

    func checked(_ value: TemplateValue, line: Int) throws(TemplateError) -> TemplateValue {
        if value.depth > TemplateValue.maximumDepth {
            throw .tooDeep(line: line, limit: TemplateValue.maximumDepth)
        }
        return value
    }

    // MARK: statements

    private mutating func run(_ statements: [TemplateStatement]) throws(TemplateError) -> Flow {
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
            let text = try text(of: evaluate(expression), line: expression.line)
            try check(size: output.utf8.count + text.utf8.count, written: text.utf8.count, line: expression.line)
            output += text
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test).isTrue { return try run(branch.body) }
            return try run(otherwise)
        case .loop(let loop): try run(loop)
        case .set(let target, let expression, let line): try assign(target, evaluate(expression), line: line)
        case .capture(let target, let body, let line):
            let before = output
            output = ""
            scopes.append([:])
            _ = try run(body)
            scopes.removeLast()
            let text = output
            output = before
            try assign(target, .string(text), line: line)
        case .group(let body): return try run(body)
        case .exitLoop: return .exitLoop
        case .nextPass: return .nextPass
        }
        return .proceed
    }

    private mutating func check(size: Int, written: Int, line: Int) throws(TemplateError) {
        if size > TemplateRenderer.maximumSize {
            throw .tooLarge(line: line, limit: TemplateRenderer.maximumSize)
        }
        try spend(1 + written / 32, line: line)
    }

    private mutating func run(_ loop: TemplateLoop) throws(TemplateError) {
        var items = try self.items(of: evaluate(loop.sequence), line: loop.line)
        if let filter = loop.filter {
            var kept: [TemplateValue] = []
            for item in items {
                try spend(1, line: loop.line)
                scopes.append([:])
                try assign(loop.target, item, line: loop.line)
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
            try spend(1, line: loop.line)
            scopes.append(["loop": .loop(TemplateLoopState(index: index, items: items))])
            try assign(loop.target, items[index], line: loop.line)
            let flow = try run(loop.body)
            scopes.removeLast()
            if flow == .exitLoop { break }
        }
    }

    private mutating func assign(
        _ target: TemplateTarget, _ value: TemplateValue, line: Int
    ) throws(TemplateError) {
        switch target {
        case .name(let name): scopes[scopes.count - 1][name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let number)? = lookUp(name) else {
                throw .wrongType(operation: "'\(name).\(attribute)' is set, but '\(name)' is no namespace", line: line)
            }
            namespaces[number][attribute] = value
        case .names(let names):
            let parts = try items(of: value, line: line)
            guard parts.count == names.count else {
                throw .wrongType(
                    operation: "\(names.count) names for \(parts.count) values", line: line)
            }
            for (name, part) in zip(names, parts) { scopes[scopes.count - 1][name] = part }
        }
    }

    private func lookUp(_ name: String) -> TemplateValue? {
        for scope in scopes.reversed() {
            if let value = scope[name] { return value }
        }
        return nil
    }

    /// The values that a loop over a value visits.
    mutating func items(of value: TemplateValue, line: Int) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let list), .tuple(let list): return list.items
        case .dictionary(let dictionary): return dictionary.keys.map { .string($0) }
        case .string(let text):
            try spend(text.utf8.count, line: line)
            return text.unicodeScalars.map { .string(String(Character($0))) }
        case .undefined: return []
        default: throw .wrongType(operation: "\(value.typeName) cannot be looped over", line: line)
        }
    }

    // MARK: expressions

    mutating func evaluate(_ expression: TemplateExpression) throws(TemplateError) -> TemplateValue {
        let line = expression.line
        try spend(1, line: line)
        switch expression.kind {
        case .literal(let value): return value
        case .name(let name): return lookUp(name) ?? .undefined(name)
        case .list(let items): return try made(try evaluate(items), line: line)
        case .tuple(let items):
            return try checked(.tuple(TemplateList(try evaluate(items))), line: line)
        case .dictionary(let pairs):
            var result = TemplateDictionary()
            for (key, value) in pairs {
                guard case .string(let key) = try evaluate(key) else {
                    throw .unsupported(construct: "a mapping's key that is not a string", line: line)
                }
                result[key] = try evaluate(value)
            }
            return try checked(.dictionary(result), line: line)
        case .attribute(let owner, let name):
            return try attribute(name, of: try evaluate(owner), path: owner, line: line)
        case .item(let owner, let key):
            return try item(try evaluate(key), of: try evaluate(owner), path: owner, line: line)
        case .slice(let owner, let start, let stop, let step):
            return try slice(
                try evaluate(owner), try bound(start), try bound(stop), try bound(step), line: line)
        case .call(let callee, let arguments): return try call(callee, arguments, line: line)
        case .filter(let value, let name, let arguments):
            return try filter(name, try evaluate(value), try evaluate(arguments), line: line)
        case .test(let value, let name, let arguments, let isNegated):
            return .bool(try test(name, try evaluate(value), try evaluate(arguments), line: line) != isNegated)
        case .not(let value): return .bool(!(try evaluate(value).isTrue))
        case .negated(let value): return try negated(try evaluate(value), line: line)
        case .and(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .or(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .binary(let operation, let left, let right):
            return try binary(operation, try evaluate(left), try evaluate(right), line: line)
        case .comparison(let first, let rest):
            var left = try evaluate(first)
            for (operation, right) in rest {
                let right = try evaluate(right)
                if try !compare(operation, left, right, line: line) { return .bool(false) }
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
        for (name, value) in arguments.named { result.named[name] = try evaluate(value) }
        return result
    }

    private mutating func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression)
        if case .none = value { return nil }
        guard let integer = value.integer else {
            throw .wrongType(operation: "a slice needs integers, not \(value.typeName)", line: expression.line)
        }
        return integer
    }

    // MARK: parts of values

    private func attribute(
        _ name: String, of value: TemplateValue, path: TemplateExpression, line: Int
    ) throws(TemplateError) -> TemplateValue {
        let missing = TemplateValue.undefined(path.name.map { "\($0).\(name)" } ?? name)
        switch value {
        case .dictionary(let dictionary): return dictionary[name] ?? missing
        case .namespace(let number): return namespaces[number][name] ?? missing
        case .loop(let state):
            guard let found = state.attribute(name) else {
                throw .unsupported(construct: "'loop.\(name)'", line: line)
            }
            return found
        case .undefined(let owner): throw .undefined(name: owner, line: line)
        default: return missing
        }
    }

    private mutating func item(
        _ key: TemplateValue, of value: TemplateValue, path: TemplateExpression, line: Int
    ) throws(TemplateError) -> TemplateValue {
        switch (value, key) {
        case (.list(let list), _), (.tuple(let list), _):
            guard let index = key.integer else { break }
            let place = index < 0 ? index + list.items.count : index
            if list.items.indices.contains(place) { return list.items[place] }
        case (.string(let text), _):
            guard let index = key.integer else { break }
            try spend(text.utf8.count / 16, line: line)
            let scalars = Array(text.unicodeScalars)
            let place = index < 0 ? index + scalars.count : index
            if scalars.indices.contains(place) { return .string(String(Character(scalars[place]))) }
        case (_, .string(let name)): return try attribute(name, of: value, path: path, line: line)
        case (.undefined(let owner), _): throw .undefined(name: owner, line: line)
        default: break
        }
        return .undefined(path.name.map { "an item of \($0)" } ?? "an item")
    }

    private mutating func slice(
        _ value: TemplateValue, _ start: Int?, _ stop: Int?, _ step: Int?, line: Int
    ) throws(TemplateError) -> TemplateValue {
        func pick<T>(_ items: [T]) throws(TemplateError) -> [T] {
            let step = step ?? 1
            guard step != 0, step > -Int.max else { throw .wrongType(operation: "a slice with step 0", line: line) }
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
        case .list(let list): return try made(try pick(list.items), line: line)
        case .tuple(let list): return .tuple(TemplateList(try pick(list.items)))
        case .string(let text):
            try spend(text.utf8.count / 4, line: line)
            var result = String.UnicodeScalarView()
            result.append(contentsOf: try pick(Array(text.unicodeScalars)))
            return .string(String(result))
        case .undefined(let name): throw .undefined(name: name, line: line)
        default: throw .wrongType(operation: "\(value.typeName) cannot be sliced", line: line)
        }
    }

    // MARK: calls

    private mutating func call(
        _ callee: TemplateExpression, _ arguments: TemplateArguments, line: Int
    ) throws(TemplateError) -> TemplateValue {
        if case .attribute(let owner, let method) = callee.kind {
            let value = try evaluate(owner)
            return try call(method, of: value, try evaluate(arguments), line: line)
        }
        guard case .name(let name) = callee.kind else {
            throw .unsupported(construct: "a call of what is not a name", line: line)
        }
        let inputs = try evaluate(arguments)
        if lookUp(name) != nil { throw .wrongType(operation: "'\(name)' is a value, not a function", line: line) }
        switch name {
        case "raise_exception":
            throw .raised(message: try inputs.first.map { value throws(TemplateError) in try text(of: value, line: line) } ?? "")
        case "namespace", "dict":
            var content = TemplateDictionary()
            if case .dictionary(let start)? = inputs.first { content = start }
            for (key, value) in inputs.named.pairs { content[key] = value }
            if name == "dict" { return try checked(.dictionary(content), line: line) }
            namespaces.append(content)
            return .namespace(namespaces.count - 1)
        case "range": return try range(inputs, line: line)
        default: throw .unsupported(construct: "the function '\(name)'", line: line)
        }
    }

    private mutating func range(_ inputs: TemplateInputs, line: Int) throws(TemplateError) -> TemplateValue {
        let numbers = inputs.positional.compactMap(\.integer)
        guard (1...3).contains(numbers.count), numbers.count == inputs.positional.count,
            numbers.count < 3 || numbers[2] != 0
        else { throw .wrongType(operation: "range takes one to three integers, the step not 0", line: line) }
        let start = numbers.count > 1 ? numbers[0] : 0
        let stop = numbers.count > 1 ? numbers[1] : numbers[0]
        var items: [TemplateValue] = []
        for value in Swift.stride(from: start, to: stop, by: numbers.count > 2 ? numbers[2] : 1) {
            guard items.count < 100_000 else { throw .tooLarge(line: line, limit: 100_000) }
            items.append(.integer(value))
        }
        return try made(items, line: line)
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
