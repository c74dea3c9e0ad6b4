extension TemplateRenderer {
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

    mutating func evaluate(_ list: [TemplateExpression]) throws(TemplateError) -> [TemplateValue] {
        var result: [TemplateValue] = []
        for expression in list { result.append(try evaluate(expression)) }
        return result
    }

    mutating func evaluate(_ arguments: TemplateArguments) throws(TemplateError) -> TemplateInputs {
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

    mutating func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
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

    func attribute(
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

    mutating func item(
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

    mutating func slice(
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

    mutating func call(
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

    mutating func range(_ inputs: TemplateInputs, origin: TemplateOrigin) throws(TemplateError)
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
