/// The filters that may stand after `|`.
enum TemplateFilters {
    static let names: Set<String> = [
        "trim", "tojson", "default", "d", "length", "count", "upper", "lower", "capitalize", "title", "join",
        "first", "last", "list", "string", "int", "float", "abs", "replace", "items", "reverse", "safe", "map",
        "select", "reject", "selectattr", "rejectattr", "indent", "unique",
    ]
}

extension TemplateRenderer {
    mutating func filter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "default", "d":
            let isFalseToo = inputs.value(1, "boolean")?.isTrue ?? false
            let isReplaced = value.isUndefined || (isFalseToo && !value.isTrue)
            return isReplaced ? inputs.value(0, "default_value") ?? .string("") : value
        case "safe": return value
        case "tojson":
            let indent = inputs.value(3, "indent")?.integer ?? (inputs.positional.count == 1 ? inputs.first?.integer : nil)
            guard (0...64).contains(indent ?? 0) else {
                throw .wrongType(operation: "tojson takes an indent of 0 to 64", line: line)
            }
            return try made(
                try json(value, indent: indent, sortsKeys: inputs.named["sort_keys"]?.isTrue ?? false, line: line),
                line: line)
        case "string": return .string(try text(of: value, line: line))
        case "trim", "upper", "lower", "capitalize", "title", "replace", "indent":
            return try textFilter(name, try text(of: value, line: line), inputs, line: line)
        case "int", "float", "abs": return try numberFilter(name, value, inputs, line: line)
        case "items":
            if value.isUndefined { return .list(TemplateList([])) }
            guard case .dictionary = value else { throw mistake(name, value, line) }
            return try call("items", of: value, TemplateInputs(), line: line)
        default: return try listFilter(name, value, inputs, line: line)
        }
    }

    private mutating func textFilter(
        _ name: String, _ text: String, _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "trim": return try call("strip", of: .string(text), inputs, line: line)
        case "title": return try made(text.titledByFilter, line: line)
        case "indent":
            let width = inputs.value(0, "width")?.integer ?? 4
            guard (0...256).contains(width), inputs.value(2, "blank") == nil else {
                throw .unsupported(construct: "these arguments of the filter 'indent'", line: line)
            }
            let space = String(repeating: " ", count: width)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let indented = lines.enumerated().map { $0.offset == 0 || $0.element.isEmpty ? String($0.element) : space + $0.element }
            let isFirstToo = inputs.value(1, "first")?.isTrue ?? false
            return try made((isFirstToo ? space : "") + indented.joined(separator: "\n"), line: line)
        default: return try call(name, of: .string(text), inputs, line: line)
        }
    }

    private func numberFilter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        var number = value.double
        if case .string(let text) = value {
            let trimmed = text.trimmed(nil, left: true, right: true)
            if name == "int", let integer = Int(trimmed) { return .integer(integer) }
            number = Double(trimmed)
        }
        switch name {
        case "int":
            if let integer = value.integer { return .integer(integer) }
            if let number, let integer = Int(exactly: number.rounded(.towardZero)) { return .integer(integer) }
            return inputs.value(0, "default") ?? .integer(0)
        case "float":
            return number.map { .number($0) } ?? inputs.value(0, "default") ?? .number(0)
        default:
            if let integer = value.integer, integer != Int.min { return .integer(abs(integer)) }
            guard case .number(let number) = value else { throw mistake(name, value, line) }
            return .number(abs(number))
        }
    }

    private mutating func listFilter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        if name == "length" || name == "count", case .string(let text) = value {
            try spend(text.utf8.count / 16, line: line)
            return .integer(text.unicodeScalars.count)
        }
        if name == "reverse", case .string(let text) = value {
            var result = String.UnicodeScalarView()
            result.append(contentsOf: text.unicodeScalars.reversed())
            return try made(String(result), line: line)
        }
        let items = try items(of: value, line: line)
        try spend(items.count, line: line)
        switch name {
        case "length", "count": return .integer(items.count)
        case "first": return items.first ?? .undefined("the first item of an empty list")
        case "last": return items.last ?? .undefined("the last item of an empty list")
        case "list": return try made(items, line: line)
        case "reverse": return try made(items.reversed(), line: line)
        case "unique":
            var result: [TemplateValue] = []
            for item in items {
                var isNew = true
                for other in result where try isEqual(other, item, line: line) { isNew = false }
                if isNew { result.append(item) }
            }
            return try made(result, line: line)
        case "join":
            var texts: [String] = []
            let key = inputs.value(1, "attribute")
            for item in items {
                let part = try key.map { key throws(TemplateError) in try path(key, of: item, line: line) } ?? item
                texts.append(try text(of: part, line: line))
            }
            let separator = try inputs.value(0, "d").map { value throws(TemplateError) in
                try text(of: value, line: line)
            } ?? ""
            try check(
                size: texts.reduce(0) { $0 + $1.utf8.count + separator.utf8.count }, line: line)
            return .string(texts.joined(separator: separator))
        case "map": return try mapped(items, inputs, line: line)
        default: return try selected(name, items, inputs, line: line)
        }
    }

    private mutating func mapped(
        _ items: [TemplateValue], _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        var result: [TemplateValue] = []
        for item in items {
            if let key = inputs.named["attribute"] {
                let part = try path(key, of: item, line: line)
                result.append(part.isUndefined ? inputs.named["default"] ?? part : part)
            } else if case .string(let name)? = inputs.first, TemplateFilters.names.contains(name) {
                result.append(
                    try filter(
                        name, item, TemplateInputs(positional: Array(inputs.positional.dropFirst())), line: line))
            } else {
                throw .unsupported(construct: "these arguments of the filter 'map'", line: line)
            }
        }
        return try made(result, line: line)
    }

    /// `select`, `reject`, `selectattr`, `rejectattr`.
    private mutating func selected(
        _ name: String, _ items: [TemplateValue], _ inputs: TemplateInputs, line: Int
    ) throws(TemplateError) -> TemplateValue {
        var arguments = inputs.positional[...]
        let key = name.hasSuffix("attr") ? arguments.popFirst() : nil
        let test = arguments.popFirst()
        var result: [TemplateValue] = []
        for item in items {
            let value = try key.map { key throws(TemplateError) in try path(key, of: item, line: line) } ?? item
            var holds = value.isTrue
            if let test {
                guard case .string(let test) = test, TemplateTests.names.contains(test) else {
                    throw .unsupported(construct: "this test in the filter '\(name)'", line: line)
                }
                holds = try self.test(test, value, Array(arguments), line: line)
            }
            if holds == name.hasPrefix("select") { result.append(item) }
        }
        return try made(result, line: line)
    }

    /// The part of a value under a dotted path.
    private func path(
        _ key: TemplateValue, of value: TemplateValue, line: Int
    ) throws(TemplateError) -> TemplateValue {
        guard case .string(let path) = key else {
            throw .unsupported(construct: "an attribute that is not a string", line: line)
        }
        var value = value
        for name in path.split(separator: ".") {
            guard case .dictionary(let dictionary) = value else { return .undefined(path) }
            value = dictionary[String(name)] ?? .undefined(path)
        }
        return value
    }

    private func mistake(_ name: String, _ value: TemplateValue, _ line: Int) -> TemplateError {
        .wrongType(operation: "the filter '\(name)' does not take \(value.typeName)", line: line)
    }
}
