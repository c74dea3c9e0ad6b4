extension TemplateRenderer {
    /// A method of a string, a mapping or the loop.
    mutating func call(
        _ method: String, of value: TemplateValue, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch value {
        case .string(let text):
            try spend(text.utf8.count / 16, origin: origin)
            return try call(method, of: text, inputs, origin: origin)
        case .dictionary(let dictionary):
            switch method {
            case "items":
                return try made(dictionary.items, origin: origin)
            case "keys": return try made(dictionary.keys.map(\.value), origin: origin)
            case "values": return try made(dictionary.values, origin: origin)
            case "get":
                guard let key = inputs.first.flatMap({ TemplateKey($0) }) else {
                    return inputs.value(1, "default") ?? .none
                }
                return dictionary[key] ?? inputs.value(1, "default") ?? .none
            default: break
            }
        case .list(let list), .tuple(let list):
            guard method == "index" || method == "count", let wanted = inputs.first else { break }
            var places: [Int] = []
            for (place, item) in list.items.enumerated() where try isEqual(item, wanted, origin: origin) {
                places.append(place)
            }
            if method == "count" { return .integer(places.count) }
            guard let first = places.first else {
                throw .wrongType(operation: "'index' of what is not in the list", origin: origin)
            }
            return .integer(first)
        case .loop(let state) where method == "cycle" && !inputs.positional.isEmpty:
            return inputs.positional[state.index % inputs.positional.count]
        case .undefined(let name): throw .undefined(name: name, origin: origin)
        default: break
        }
        throw .unsupported(construct: "the method '\(method)' of \(value.typeName)", origin: origin)
    }

    private mutating func call(
        _ method: String, of text: String, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        func string(_ place: Int, _ name: String) throws(TemplateError) -> String? {
            switch inputs.value(place, name) {
            case nil, .some(.none): return nil
            case .string(let text)?: return text
            case let other?:
                throw .wrongType(
                    operation: "the method '\(method)' does not take \(other.typeName)", origin: origin)
            }
        }
        func needed(_ place: Int, _ name: String) throws(TemplateError) -> String {
            guard let text = try string(place, name) else {
                throw .wrongType(operation: "the method '\(method)' needs a string", origin: origin)
            }
            return text
        }
        switch method {
        case "strip", "lstrip", "rstrip":
            return .string(
                text.trimmed(try string(0, "chars"), left: method != "rstrip", right: method != "lstrip"))
        case "upper": return try made(text.uppercased(), origin: origin)
        case "lower": return try made(text.lowercased(), origin: origin)
        case "capitalize": return try made(text.capitalizedOnce, origin: origin)
        case "title": return try made(text.titled, origin: origin)
        case "startswith", "endswith":
            var candidates = [inputs.first ?? .none]
            if case .tuple(let list) = candidates[0] { candidates = list.items }
            for candidate in candidates {
                guard case .string(let part) = candidate else {
                    throw .wrongType(
                        operation: "the method '\(method)' does not take \(candidate.typeName)",
                        origin: origin)
                }
                let side =
                    method == "startswith"
                    ? text.utf8.prefix(part.utf8.count) : text.utf8.suffix(part.utf8.count)
                if side.elementsEqual(part.utf8) { return .bool(true) }
            }
            return .bool(false)
        case "split":
            let limit = inputs.value(1, "maxsplit")?.integer ?? -1
            let parts = text.split(separatedBy: try string(0, "sep"), limit: limit < 0 ? Int.max : limit)
            guard let parts else {
                throw .wrongType(operation: "'split' with an empty separator", origin: origin)
            }
            return try made(parts.map { .string($0) }, origin: origin)
        case "splitlines":
            var parts = text.split(separatedBy: "\n", limit: Int.max) ?? []
            if parts.last == "" { parts.removeLast() }
            return try made(parts.map { .string($0) }, origin: origin)
        case "replace":
            let old = try needed(0, "old")
            let new = try needed(1, "new")
            let limit = inputs.value(2, "count")?.integer ?? -1
            return try replaced(text, old, new, limit: limit < 0 ? Int.max : limit, origin: origin)
        case "removeprefix", "removesuffix":
            let part = try needed(0, method)
            let isStart = method == "removeprefix"
            let side = isStart ? text.utf8.prefix(part.utf8.count) : text.utf8.suffix(part.utf8.count)
            guard side.elementsEqual(part.utf8) else { return .string(text) }
            let count = part.utf8.count
            return .string(String(isStart ? text.utf8.dropFirst(count) : text.utf8.dropLast(count)) ?? text)
        case "format": return try formatted(text, inputs, origin: origin)
        case "find":
            guard let place = text.find(try needed(0, "sub")) else { return .integer(-1) }
            return .integer(String(decoding: text.utf8.prefix(place), as: UTF8.self).unicodeScalars.count)
        case "count":
            let part = try needed(0, "sub")
            guard !part.isEmpty else { return .integer(text.unicodeScalars.count + 1) }
            return .integer((text.split(separatedBy: part, limit: Int.max)?.count ?? 1) - 1)
        case "join":
            return try filter(
                "join", inputs.first ?? .undefined("the list to join"),
                TemplateInputs(positional: [.string(text)]), origin: origin)
        case "isdigit":
            return .bool(
                !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            )
        default: throw .unsupported(construct: "the string method '\(method)'", origin: origin)
        }
    }

    /// `str.format` of fields without a format: `{}`, `{0}`, `{name}`.
    private mutating func formatted(
        _ text: String, _ inputs: TemplateInputs, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        var result = String.UnicodeScalarView()
        var rest = text.unicodeScalars[...]
        var next = 0
        var isAutomatic: Bool?
        while let scalar = rest.popFirst() {
            guard scalar == "{" || scalar == "}" else {
                result.append(scalar)
                continue
            }
            if rest.first == scalar {
                result.append(rest.removeFirst())
                continue
            }
            guard scalar == "{", let end = rest.firstIndex(of: "}") else {
                throw .wrongType(operation: "a single brace in a format", origin: origin)
            }
            let field = String(rest[..<end])
            rest = rest[rest.index(after: end)...]
            guard
                field.unicodeScalars.allSatisfy({
                    $0 == "_" || $0.properties.isAlphabetic || $0.properties.numericType != nil
                })
            else { throw .unsupported(construct: "the field '\(field)' of a format", origin: origin) }
            let value: TemplateValue?
            if let index = field.isEmpty ? next : Int(field) {
                guard isAutomatic ?? field.isEmpty == field.isEmpty else {
                    throw .wrongType(operation: "numbered and empty fields in one format", origin: origin)
                }
                isAutomatic = field.isEmpty
                value = inputs.positional.indices.contains(index) ? inputs.positional[index] : nil
                next += 1
            } else {
                value = inputs.named[field]
            }
            guard let value else {
                throw .wrongType(operation: "no value for the field '\(field)' of a format", origin: origin)
            }
            let part = try self.text(of: value, origin: origin)
            try check(size: result.count + part.utf8.count, origin: origin)
            result.append(contentsOf: part.unicodeScalars)
        }
        return try made(String(result), origin: origin)
    }

    private mutating func replaced(
        _ text: String, _ old: String, _ new: String, limit: Int, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        var parts: [String]
        if old.isEmpty {
            // Python puts the new text before each scalar and after the last.
            parts = [""] + text.unicodeScalars.map { String(Character($0)) } + [""]
            if limit < parts.count - 1 {
                let kept = parts[...limit]
                parts = Array(kept) + [parts[(limit + 1)...].joined()]
                parts[limit] += parts.removeLast()
            }
        } else {
            parts = text.split(separatedBy: old, limit: limit) ?? [text]
        }
        let (added, overflows) = parts.count.multipliedReportingOverflow(by: new.utf8.count)
        try check(size: overflows ? Int.max : text.utf8.count + added, origin: origin)
        return .string(parts.joined(separator: new))
    }
}

/// Python's string methods, by scalars and bytes rather than by characters.
extension String {
    func trimmed(_ set: String?, left: Bool, right: Bool) -> String {
        var scalars = unicodeScalars[...]
        let set = set.map { Set($0.unicodeScalars) }
        func isTrimmed(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? scalar.isPythonSpace }
        if left { while let first = scalars.first, isTrimmed(first) { scalars.removeFirst() } }
        if right { while let last = scalars.last, isTrimmed(last) { scalars.removeLast() } }
        return String(scalars)
    }

    /// Pieces between separators, white space when nil; nil for an empty separator.
    func split(separatedBy separator: String?, limit: Int) -> [String]? {
        guard let separator else {
            var result: [String] = []
            var rest = unicodeScalars[...]
            while true {
                while let first = rest.first, first.isPythonSpace { rest.removeFirst() }
                if rest.isEmpty { return result }
                if result.count == limit {
                    return result + [String(rest).trimmed(nil, left: false, right: true)]
                }
                let end = rest.firstIndex { $0.isPythonSpace } ?? rest.endIndex
                result.append(String(rest[..<end]))
                rest = rest[end...]
            }
        }
        guard !separator.isEmpty else { return nil }
        let text = Array(utf8)
        let part = Array(separator.utf8)
        var result: [String] = []
        var start = 0
        var index = 0
        while index + part.count <= text.count, result.count < limit {
            if text[index] == part[0], text[index..<(index + part.count)].elementsEqual(part) {
                result.append(String(decoding: text[start..<index], as: UTF8.self))
                index += part.count
                start = index
            } else {
                index += 1
            }
        }
        result.append(String(decoding: text[start...], as: UTF8.self))
        return result
    }

    /// First scalar upper, the rest lower.
    var capitalizedOnce: String {
        guard let first = unicodeScalars.first else { return self }
        return first.properties.titlecaseMapping + String(unicodeScalars.dropFirst()).lowercased()
    }

    /// `str.title`: upper after anything that is not a letter.
    var titled: String {
        var result = ""
        var isAfterLetter = false
        for scalar in unicodeScalars {
            result += isAfterLetter ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            isAfterLetter = scalar.properties.isCased
        }
        return result
    }

    /// Jinja's filter `title`: upper at the start and after white space, `-`, `(`, `{`, `[`, `<`.
    var titledByFilter: String {
        var result = ""
        var isInWord = false
        for scalar in unicodeScalars {
            let isMark = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
            result += isInWord ? scalar.properties.lowercaseMapping : scalar.properties.uppercaseMapping
            isInWord = !isMark
        }
        return result
    }

    /// With the escapes that Python's `markupsafe` makes.
    var escapedForHTML: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar {
            case "&": result.append(contentsOf: "&amp;".unicodeScalars)
            case "<": result.append(contentsOf: "&lt;".unicodeScalars)
            case ">": result.append(contentsOf: "&gt;".unicodeScalars)
            case "'": result.append(contentsOf: "&#39;".unicodeScalars)
            case "\"": result.append(contentsOf: "&#34;".unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
