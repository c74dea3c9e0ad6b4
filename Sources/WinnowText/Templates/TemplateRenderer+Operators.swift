extension TemplateRenderer {
    mutating func negated(_ value: TemplateValue, line: Int) throws(TemplateError) -> TemplateValue {
        if case .number(let number) = value { return .number(-number) }
        guard let integer = value.integer, integer != Int.min else { throw mistake("-", value, nil, line) }
        return .integer(-integer)
    }

    mutating func binary(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, line: Int
    ) throws(TemplateError) -> TemplateValue {
        switch (operation, left, right) {
        case ("~", _, _):
            let first = try text(of: left, line: line)
            let second = try text(of: right, line: line)
            return try made(first + second, line: line)
        case (_, .undefined(let name), _), (_, _, .undefined(let name)): throw .undefined(name: name, line: line)
        case ("+", .string(let a), .string(let b)): return try made(a + b, line: line)
        case ("+", .list(let a), .list(let b)): return try made(a.items + b.items, line: line)
        case ("+", .tuple(let a), .tuple(let b)):
            try spend(a.items.count + b.items.count, line: line)
            return .tuple(TemplateList(a.items + b.items))
        case ("*", .string(let text), _):
            guard let count = right.integer else { throw mistake(operation, left, right, line) }
            let (size, overflows) = max(count, 0).multipliedReportingOverflow(by: max(text.utf8.count, 1))
            try check(size: overflows ? Int.max : size, line: line)
            return .string(String(repeating: text, count: max(count, 0)))
        case ("%", .string, _): throw .unsupported(construct: "formatting with '%'", line: line)
        default: return try arithmetic(operation, left, right, line)
        }
    }

    private func arithmetic(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int
    ) throws(TemplateError) -> TemplateValue {
        if let a = left.integer, let b = right.integer, operation != "/" {
            let (value, overflows): (Int, Bool)
            switch operation {
            case "+": (value, overflows) = a.addingReportingOverflow(b)
            case "-": (value, overflows) = a.subtractingReportingOverflow(b)
            case "*": (value, overflows) = a.multipliedReportingOverflow(by: b)
            case "//", "%":
                guard b != 0 else { throw .wrongType(operation: "a division by zero", line: line) }
                guard b != -1 else { return try arithmetic("*", .integer(operation == "%" ? 0 : a), right, line) }
                // Python rounds down, and the remainder takes the divisor's sign.
                let remainder = a % b
                let isAdjusted = remainder != 0 && (remainder < 0) != (b < 0)
                return .integer(
                    operation == "//" ? a / b - (isAdjusted ? 1 : 0) : remainder + (isAdjusted ? b : 0))
            case "**":
                guard b >= 0 else { throw .unsupported(construct: "a negative power", line: line) }
                var result = 1
                for _ in 0..<min(b, 64) where a != 0 && a != 1 && a != -1 {
                    let (next, isOver) = result.multipliedReportingOverflow(by: a)
                    if isOver { throw .unsupported(construct: "an integer of more than 64 bits", line: line) }
                    result = next
                }
                if a == 0 { result = b == 0 ? 1 : 0 }
                if a == -1 { result = b % 2 == 0 ? 1 : -1 }
                return .integer(result)
            default: throw mistake(operation, left, right, line)
            }
            if overflows { throw .unsupported(construct: "an integer of more than 64 bits", line: line) }
            return .integer(value)
        }
        guard let a = left.double, let b = right.double else { throw mistake(operation, left, right, line) }
        switch operation {
        case "+": return .number(a + b)
        case "-": return .number(a - b)
        case "*": return .number(a * b)
        case "/", "//", "%":
            guard b != 0 else { throw .wrongType(operation: "a division by zero", line: line) }
            if operation == "/" { return .number(a / b) }
            let quotient = (a / b).rounded(.down)
            return .number(operation == "//" ? quotient : a - quotient * b)
        default: throw mistake(operation, left, right, line)
        }
    }

    mutating func compare(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, line: Int
    ) throws(TemplateError) -> Bool {
        switch operation {
        case "==": return try isEqual(left, right, line: line)
        case "!=": return try !isEqual(left, right, line: line)
        case "in": return try contains(left, in: right, line: line)
        case "not in": return try !contains(left, in: right, line: line)
        default:
            let order = try order(left, right, operation, line)
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
        _ left: TemplateValue, _ right: TemplateValue, line: Int
    ) throws(TemplateError) -> Bool {
        if left.depth > 1, right.depth > 1 {
            try spend(weight(left, limit: TemplateRenderer.maximumWork), line: line)
        } else if case .string(let text) = left {
            try spend(text.utf8.count / 64, line: line)
        } else if case .list(let list) = left {
            try spend(list.items.count, line: line)
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
        _ value: TemplateValue, in container: TemplateValue, line: Int
    ) throws(TemplateError) -> Bool {
        switch (container, value) {
        case (.string(let text), .string(let part)):
            try spend(text.utf8.count / 16, line: line)
            return text.find(part) != nil
        case (.list(let list), _), (.tuple(let list), _):
            for item in list.items where try isEqual(item, value, line: line) { return true }
            try spend(list.items.count, line: line)
            return false
        case (.dictionary(let dictionary), .string(let key)): return dictionary[key] != nil
        case (.dictionary, _): return false
        case (.undefined, _): return false
        default: throw mistake("in", value, container, line)
        }
    }

    /// Negative, zero or positive.
    private func order(
        _ left: TemplateValue, _ right: TemplateValue, _ operation: String, _ line: Int
    ) throws(TemplateError) -> Int {
        if let a = left.integer, let b = right.integer { return a < b ? -1 : a > b ? 1 : 0 }
        if let a = left.double, let b = right.double { return a < b ? -1 : a > b ? 1 : 0 }
        switch (left, right) {
        case (.string(let a), .string(let b)):
            // Bytes of UTF-8 are in the order of scalars.
            if a.hasSameBytes(as: b) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.undefined(let name), _), (_, .undefined(let name)): throw .undefined(name: name, line: line)
        default: throw mistake(operation, left, right, line)
        }
    }

    private func mistake(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue?, _ line: Int
    ) -> TemplateError {
        let what = right.map { "\(left.typeName) and \($0.typeName)" } ?? left.typeName
        return .wrongType(operation: "'\(operation)' does not take \(what)", line: line)
    }
}

extension String {
    /// The byte where a part first stands, nil when it does not.
    func find(_ part: String, from start: Int = 0) -> Int? {
        let text = Array(utf8)
        let part = Array(part.utf8)
        guard text.count - start >= part.count else { return nil }
        for index in start...(text.count - part.count)
        where part.isEmpty || (text[index] == part[0] && text[index..<(index + part.count)].elementsEqual(part)) {
            return index
        }
        return nil
    }
}
