/// The filters that may stand after `|`.
enum TemplateFilters {
    static let names: Set<String> = [
        "trim", "tojson", "default", "d", "length", "count", "upper", "lower", "capitalize", "title", "join",
        "first", "last", "list", "string", "int", "float", "abs", "replace", "items", "reverse", "safe",
        "map",
        "select", "reject", "selectattr", "rejectattr", "indent", "unique", "dictsort", "sort", "min", "max",
        "sum",
        "round",
    ]
}

extension TemplateRenderer {
    mutating func filter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case _ where !TemplateFilters.names.contains(name):
            throw .unsupported(construct: "the filter '\(name)'", origin: origin)
        case "default", "d":
            let isFalseToo = inputs.value(1, "boolean")?.isTrue ?? false
            let isReplaced = value.isUndefined || (isFalseToo && !value.isTrue)
            return isReplaced ? inputs.value(0, "default_value") ?? .string("") : value
        case "safe": return value
        case "tojson":
            return try made(
                try json(value, TemplateJSONStyle(inputs, origin: origin), origin: origin), origin: origin)
        case "string": return .string(try text(of: value, origin: origin))
        case "trim", "upper", "lower", "capitalize", "title", "replace", "indent":
            return try textFilter(name, try text(of: value, origin: origin), inputs, origin: origin)
        case "int", "float", "abs", "round": return try numberFilter(name, value, inputs, origin: origin)
        case "items":
            if value.isUndefined { return try generator([], origin: origin) }
            guard case .dictionary(let dictionary) = value else { throw mistake(name, value, origin) }
            return try generator(dictionary.items, origin: origin)
        default: return try listFilter(name, value, inputs, origin: origin)
        }
    }

    private mutating func textFilter(
        _ name: String, _ text: String, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "trim": return try call("strip", of: .string(text), inputs, origin: origin)
        case "title": return try made(text.titledByFilter, origin: origin)
        case "indent":
            let width = inputs.value(0, "width")?.integer ?? 4
            guard (0...256).contains(width), inputs.value(2, "blank") == nil else {
                throw .unsupported(construct: "these arguments of the filter 'indent'", origin: origin)
            }
            let space = String(repeating: " ", count: width)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let indented = lines.enumerated().map {
                $0.offset == 0 || $0.element.isEmpty ? String($0.element) : space + $0.element
            }
            let isFirstToo = inputs.value(1, "first")?.isTrue ?? false
            return try made((isFirstToo ? space : "") + indented.joined(separator: "\n"), origin: origin)
        default: return try call(name, of: .string(text), inputs, origin: origin)
        }
    }

    private func numberFilter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, origin: TemplateOrigin
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
            if let number, let integer = Int(exactly: number.rounded(.towardZero)) {
                return .integer(integer)
            }
            return inputs.value(0, "default") ?? .integer(0)
        case "float":
            return number.map { .number($0) } ?? inputs.value(0, "default") ?? .number(0)
        case "round":
            guard inputs.positional.isEmpty, inputs.named.count == 0, let number = value.double else {
                throw .unsupported(construct: "these arguments of the filter 'round'", origin: origin)
            }
            return .number(number.rounded(.toNearestOrEven))
        default:
            if let integer = value.integer, integer != Int.min { return .integer(abs(integer)) }
            guard case .number(let number) = value else { throw mistake(name, value, origin) }
            return .number(abs(number))
        }
    }

    private mutating func listFilter(
        _ name: String, _ value: TemplateValue, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        if name == "length" || name == "count", case .string(let text) = value {
            try spend(text.utf8.count / 16, origin: origin)
            return .integer(text.unicodeScalars.count)
        }
        if name == "length" || name == "count", case .generator = value { throw mistake(name, value, origin) }
        // These take none and 0 for an empty list.
        let isLenient = ["map", "select", "reject", "selectattr", "rejectattr"].contains(name)
        if isLenient, !value.isTrue { return try generator([], origin: origin) }
        if name == "reverse", case .string(let text) = value {
            var result = String.UnicodeScalarView()
            result.append(contentsOf: text.unicodeScalars.reversed())
            return try made(String(result), origin: origin)
        }
        let items = try items(of: value, origin: origin)
        try spend(items.count, origin: origin)
        switch name {
        case "length", "count": return .integer(items.count)
        case "first": return items.first ?? .undefined("the first item of an empty list")
        case "last": return items.last ?? .undefined("the last item of an empty list")
        case "list": return try made(items, origin: origin)
        case "reverse": return try generator(items.reversed(), origin: origin)
        case "unique", "dictsort", "sort", "min", "max", "sum":
            return try orderFilter(name, value, items, inputs, origin: origin)
        case "join":
            var texts: [String] = []
            let key = inputs.value(1, "attribute")
            for item in items {
                let part =
                    try key.map { key throws(TemplateError) in try path(key, of: item, origin: origin) }
                    ?? item
                texts.append(try text(of: part, origin: origin))
            }
            let separator =
                try inputs.value(0, "d").map { value throws(TemplateError) in
                    try text(of: value, origin: origin)
                } ?? ""
            try check(
                size: texts.reduce(0) { $0 + $1.utf8.count + separator.utf8.count }, origin: origin)
            return .string(texts.joined(separator: separator))
        case "map": return try mapped(items, inputs, origin: origin)
        default: return try selected(name, items, inputs, origin: origin)
        }
    }

    private mutating func mapped(
        _ items: [TemplateValue], _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        var result: [TemplateValue] = []
        for item in items {
            if let key = inputs.named["attribute"] {
                let part = try path(key, of: item, origin: origin)
                result.append(part.isUndefined ? inputs.named["default"] ?? part : part)
            } else if case .string(let name)? = inputs.first, TemplateFilters.names.contains(name) {
                result.append(
                    try filter(
                        name, item, TemplateInputs(positional: Array(inputs.positional.dropFirst())),
                        origin: origin))
            } else {
                throw .unsupported(construct: "these arguments of the filter 'map'", origin: origin)
            }
        }
        return try generator(result, origin: origin)
    }

    /// `select`, `reject`, `selectattr`, `rejectattr`.
    private mutating func selected(
        _ name: String, _ items: [TemplateValue], _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        var arguments = inputs.positional[...]
        let key = name.hasSuffix("attr") ? arguments.popFirst() : nil
        let test = arguments.popFirst()
        var result: [TemplateValue] = []
        for item in items {
            let value =
                try key.map { key throws(TemplateError) in try path(key, of: item, origin: origin) } ?? item
            var holds = value.isTrue
            if let test {
                guard case .string(let test) = test, TemplateTests.names.contains(test) else {
                    throw .unsupported(construct: "this test in the filter '\(name)'", origin: origin)
                }
                holds = try self.test(test, value, Array(arguments), origin: origin)
            }
            if holds == name.hasPrefix("select") { result.append(item) }
        }
        return try generator(result, origin: origin)
    }

    /// The part of a value under a dotted path.
    func path(
        _ key: TemplateValue, of value: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        let path: String
        switch key {
        case .string(let text): path = text
        case .integer(let index): path = String(index)
        default: throw .unsupported(construct: "an attribute that is not a string", origin: origin)
        }
        var value = value
        for name in path.split(separator: ".") {
            switch value {
            case .dictionary(let dictionary): value = dictionary[String(name)] ?? .undefined(path)
            case .list(let list), .tuple(let list):
                guard let index = Int(name), list.items.indices.contains(index) else {
                    return .undefined(path)
                }
                value = list.items[index]
            default: return .undefined(path)
            }
        }
        return value
    }

    func mistake(_ name: String, _ value: TemplateValue, _ origin: TemplateOrigin) -> TemplateError {
        .wrongType(operation: "the filter '\(name)' does not take \(value.typeName)", origin: origin)
    }
}
