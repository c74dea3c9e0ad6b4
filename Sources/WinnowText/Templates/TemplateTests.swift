/// The tests that may stand after `is`.
enum TemplateTests {
    static let names: Set<String> = [
        "defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer",
        "float",
        "boolean", "true", "false", "odd", "even", "divisibleby", "in", "eq", "equalto", "==", "ne", "lower",
        "upper",
        "sameas", "gt", "greaterthan", "ge", "lt", "lessthan", "le", "callable",
    ]
}

extension TemplateRenderer {
    mutating func test(
        _ name: String, _ value: TemplateValue, _ arguments: [TemplateValue], origin: TemplateOrigin
    ) throws(TemplateError) -> Bool {
        func argument() throws(TemplateError) -> TemplateValue {
            guard let first = arguments.first else {
                throw .wrongType(operation: "the test '\(name)' needs an argument", origin: origin)
            }
            return first
        }
        func integer(_ value: TemplateValue) throws(TemplateError) -> Int {
            guard let integer = value.integer else {
                throw .wrongType(
                    operation: "the test '\(name)' does not take \(value.typeName)", origin: origin)
            }
            return integer
        }
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "none": if case .none = value { return true } else { return false }
        case "string": if case .string = value { return true } else { return false }
        case "mapping": if case .dictionary = value { return true } else { return false }
        case "boolean": if case .bool = value { return true } else { return false }
        case "true": if case .bool(true) = value { return true } else { return false }
        case "false": if case .bool(false) = value { return true } else { return false }
        case "integer": if case .integer = value { return true } else { return false }
        case "float": if case .number = value { return true } else { return false }
        case "number": return value.double != nil
        case "sequence", "iterable":
            switch value {
            case .string, .list, .tuple, .dictionary, .undefined: return true
            case .generator: return name == "iterable"
            default: return false
            }
        case "odd": return try integer(value) % 2 != 0
        case "even": return try integer(value) % 2 == 0
        case "divisibleby":
            let divisor = try integer(try argument())
            guard divisor != 0 else { throw .wrongType(operation: "a division by zero", origin: origin) }
            // The least integer has no remainder by -1 in 64 bits.
            return divisor == -1 ? true : try integer(value) % divisor == 0
        case "in": return try compare("in", value, try argument(), origin: origin)
        case "eq", "equalto", "==": return try compare("==", value, try argument(), origin: origin)
        case "gt", "greaterthan": return try compare(">", value, try argument(), origin: origin)
        case "ge": return try compare(">=", value, try argument(), origin: origin)
        case "lt", "lessthan": return try compare("<", value, try argument(), origin: origin)
        case "le": return try compare("<=", value, try argument(), origin: origin)
        case "callable":
            switch value {
            case .macro, .function: return true
            default: return false
            }
        case "ne": return try compare("!=", value, try argument(), origin: origin)
        case "sameas":
            let other = try argument()
            switch (value, other) {
            case (.none, .none): return true
            case (.bool(let a), .bool(let b)): return a == b
            default: throw .unsupported(construct: "the test 'sameas' with \(other.typeName)", origin: origin)
            }
        case "lower", "upper":
            let text = try text(of: value, origin: origin)
            let isCased = text.unicodeScalars.contains { $0.properties.isCased }
            return isCased && text.hasSameBytes(as: name == "lower" ? text.lowercased() : text.uppercased())
        default: throw .unsupported(construct: "the test '\(name)'", origin: origin)
        }
    }
}
