extension TemplateRenderer {
    mutating func negated(_ value: TemplateValue, origin: TemplateOrigin) throws(TemplateError)
        -> TemplateValue
    {
        if case .number(let number) = value { return .number(-number) }
        guard let integer = value.integer, integer != Int.min else { throw mistake("-", value, nil, origin) }
        return .integer(-integer)
    }

    mutating func binary(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch (operation, left, right) {
        case ("~", _, _):
            let first = try text(of: left, origin: origin)
            let second = try text(of: right, origin: origin)
            return try made(first + second, origin: origin)
        case (_, .undefined(let name), _), (_, _, .undefined(let name)):
            throw .undefined(name: name, origin: origin)
        case ("+", .string(let a), .string(let b)): return try made(a + b, origin: origin)
        case ("+", .list(let a), .list(let b)): return try made(a.items + b.items, origin: origin)
        case ("+", .tuple(let a), .tuple(let b)):
            try spend(a.items.count + b.items.count, origin: origin)
            return .tuple(TemplateList(a.items + b.items))
        case ("*", .string(let text), _):
            guard let count = right.integer else { throw mistake(operation, left, right, origin) }
            let (size, overflows) = max(count, 0).multipliedReportingOverflow(by: max(text.utf8.count, 1))
            try check(size: overflows ? Int.max : size, origin: origin)
            return .string(String(repeating: text, count: max(count, 0)))
        case ("%", .string, _): throw .unsupported(construct: "formatting with '%'", origin: origin)
        default: return try arithmetic(operation, left, right, origin)
        }
    }

    private func arithmetic(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        if let a = left.integer, let b = right.integer, operation != "/" {
            let (value, overflows): (Int, Bool)
            switch operation {
            case "+": (value, overflows) = a.addingReportingOverflow(b)
            case "-": (value, overflows) = a.subtractingReportingOverflow(b)
            case "*": (value, overflows) = a.multipliedReportingOverflow(by: b)
            case "//", "%":
                guard b != 0 else { throw .wrongType(operation: "a division by zero", origin: origin) }
                guard b != -1 else {
                    return try arithmetic("*", .integer(operation == "%" ? 0 : a), right, origin)
                }
                // Python rounds down, and the remainder takes the divisor's sign.
                let remainder = a % b
                let isAdjusted = remainder != 0 && (remainder < 0) != (b < 0)
                return .integer(
                    operation == "//" ? a / b - (isAdjusted ? 1 : 0) : remainder + (isAdjusted ? b : 0))
            case "**":
                guard b >= 0 else { throw .unsupported(construct: "a negative power", origin: origin) }
                var result = 1
                for _ in 0..<min(b, 64) where a != 0 && a != 1 && a != -1 {
                    let (next, isOver) = result.multipliedReportingOverflow(by: a)
                    if isOver {
                        throw .unsupported(construct: "an integer of more than 64 bits", origin: origin)
                    }
                    result = next
                }
                if a == 0 { result = b == 0 ? 1 : 0 }
                if a == -1 { result = b % 2 == 0 ? 1 : -1 }
                return .integer(result)
            default: throw mistake(operation, left, right, origin)
            }
            if overflows { throw .unsupported(construct: "an integer of more than 64 bits", origin: origin) }
            return .integer(value)
        }
        guard let a = left.double, let b = right.double else { throw mistake(operation, left, right, origin) }
        switch operation {
        case "+": return .number(a + b)
        case "-": return .number(a - b)
        case "*": return .number(a * b)
        case "/", "//", "%":
            guard b != 0 else { throw .wrongType(operation: "a division by zero", origin: origin) }
            if operation == "/" { return .number(a / b) }
            let quotient = (a / b).rounded(.down)
            return .number(operation == "//" ? quotient : a - quotient * b)
        default: throw mistake(operation, left, right, origin)
        }
    }

    mutating func compare(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) -> Bool {
        switch operation {
        case "==": return try isEqual(left, right, origin: origin)
        case "!=": return try !isEqual(left, right, origin: origin)
        case "in": return try contains(left, in: right, origin: origin)
        case "not in": return try !contains(left, in: right, origin: origin)
        default:
            let order = try order(left, right, operation, origin)
            switch operation {
            case "<": return order < 0
            case "<=": return order <= 0
            case ">": return order > 0
            default: return order >= 0
            }
        }
    }

    /// Equality, its work counted: shared parts of values make it more than their size in memory.
    mutating func isEqual(
        _ left: TemplateValue, _ right: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) -> Bool {
        if left.depth > 1, right.depth > 1 {
            try spend(weight(left, limit: TemplateRenderer.maximumWork), origin: origin)
        } else if case .string(let text) = left {
            try spend(text.utf8.count / 64, origin: origin)
        } else if case .list(let list) = left {
            try spend(list.items.count, origin: origin)
        }
        return left.isEqual(right)
    }

    /// How many values a value is made of, up to a limit.
    func weight(_ value: TemplateValue, limit: Int) -> Int {
        var total = 1
        let parts: [TemplateValue]
        switch value {
        case .list(let list), .tuple(let list): parts = list.items
        case .dictionary(let dictionary): parts = dictionary.values
        case .string(let text): return 1 + text.utf8.count / 32
        default: return 1
        }
        for part in parts {
            total += weight(part, limit: limit - total)
            if total > limit { return total }
        }
        return total
    }

    private mutating func contains(
        _ value: TemplateValue, in container: TemplateValue, origin: TemplateOrigin
    ) throws(TemplateError) -> Bool {
        switch (container, value) {
        case (.string(let text), .string(let part)):
            try spend(text.utf8.count / 16, origin: origin)
            return text.find(part) != nil
        case (.list(let list), _), (.tuple(let list), _):
            for item in list.items where try isEqual(item, value, origin: origin) { return true }
            try spend(list.items.count, origin: origin)
            return false
        case (.generator, _):
            for item in try items(of: container, origin: origin)
            where try isEqual(item, value, origin: origin) {
                return true
            }
            return false
        case (.dictionary(let dictionary), _):
            return TemplateKey(value).map { dictionary[$0] != nil } ?? false
        case (.undefined, _): return false
        default: throw mistake("in", value, container, origin)
        }
    }

    /// Negative, zero or positive.
    func order(
        _ left: TemplateValue, _ right: TemplateValue, _ operation: String, _ origin: TemplateOrigin
    ) throws(TemplateError) -> Int {
        if let a = left.integer, let b = right.integer { return a < b ? -1 : a > b ? 1 : 0 }
        if let a = left.double, let b = right.double { return a < b ? -1 : a > b ? 1 : 0 }
        switch (left, right) {
        case (.string(let a), .string(let b)):
            // Bytes of UTF-8 are in the order of scalars.
            if a.hasSameBytes(as: b) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.undefined(let name), _), (_, .undefined(let name)):
            throw .undefined(name: name, origin: origin)
        default: throw mistake(operation, left, right, origin)
        }
    }

    private func mistake(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue?, _ origin: TemplateOrigin
    ) -> TemplateError {
        let what = right.map { "\(left.typeName) and \($0.typeName)" } ?? left.typeName
        return .wrongType(operation: "'\(operation)' does not take \(what)", origin: origin)
    }
}

extension String {
    /// The byte where a part first stands, nil when it does not.
    func find(_ part: String, from start: Int = 0) -> Int? {
        let text = Array(utf8)
        let part = Array(part.utf8)
        guard text.count - start >= part.count else { return nil }
        for index in start...(text.count - part.count)
        where part.isEmpty
            || (text[index] == part[0] && text[index..<(index + part.count)].elementsEqual(part))
        {
            return index
        }
        return nil
    }
}
