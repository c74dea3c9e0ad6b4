import WinnowJSON

/// A value of a template, with Python's meaning of each operation.
indirect enum TemplateValue: Sendable {
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case list(TemplateList)
    case tuple(TemplateList)
    case dictionary(TemplateDictionary)
    /// The number of a `namespace()` object, which lives in the renderer.
    case namespace(Int)
    case loop(TemplateLoopState)
    /// The number of a macro, which lives in the renderer.
    case macro(Int)
    /// A function that is always there, by its name.
    case function(String)
    /// The number of a one-time sequence, such as `map` makes, which lives in the renderer.
    case generator(Int)

    static let maximumDepth = 200

    init(_ json: JSONValue) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(Int(value))
        case .number(let value): self = .number(value)
        case .string(let value): self = .string(value)
        case .array(let values): self = .list(TemplateList(values.map { TemplateValue($0) }))
        case .object(let object):
            var result = TemplateDictionary()
            for (key, value) in object.pairs { result[.string(key)] = TemplateValue(value) }
            self = .dictionary(result)
        }
    }

    /// Levels of lists and dictionaries.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .loop: TemplateValue.maximumDepth
        default: 0
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .namespace, .loop, .macro, .function, .generator: true
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }

    /// For messages.
    var typeName: String {
        switch self {
        case .undefined: "an undefined value"
        case .none: "none"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .list: "a list"
        case .tuple: "a tuple"
        case .dictionary: "a mapping"
        case .namespace: "a namespace"
        case .loop: "the loop"
        case .macro: "a macro"
        case .function: "a function"
        case .generator: "a generator"
        }
    }

    /// The value as Python's arithmetic takes it.
    var integer: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var double: Double? {
        if case .number(let value) = self { return value }
        return integer.map(Double.init)
    }

    /// Python's `==`.
    func isEqual(_ other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): true
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { $0.isEqual($1) }
        case (.dictionary(let a), .dictionary(let b)):
            a.count == b.count
                && a.pairs.allSatisfy { pair in b[pair.key].map { pair.value.isEqual($0) } ?? false }
        case (.namespace(let a), .namespace(let b)), (.macro(let a), .macro(let b)): a == b
        case (.generator(let a), .generator(let b)): a == b
        default:
            if let a = integer, let b = other.integer {
                a == b
            } else if let a = double, let b = other.double {
                a == b
            } else {
                false
            }
        }
    }
}

struct TemplateList: Sendable {
    let items: [TemplateValue]
    let depth: Int

    init(_ items: [TemplateValue]) {
        self.items = items
        depth = 1 + items.reduce(0) { max($0, $1.depth) }
    }
}

/// The `loop` variable.
struct TemplateLoopState: Sendable {
    var index: Int
    var items: [TemplateValue]

    func attribute(_ name: String) -> TemplateValue? {
        switch name {
        case "index": .integer(index + 1)
        case "index0": .integer(index)
        case "revindex": .integer(items.count - index)
        case "revindex0": .integer(items.count - index - 1)
        case "first": .bool(index == 0)
        case "last": .bool(index == items.count - 1)
        case "length": .integer(items.count)
        case "previtem": index > 0 ? items[index - 1] : .undefined("loop.previtem")
        case "nextitem": index + 1 < items.count ? items[index + 1] : .undefined("loop.nextitem")
        default: nil
        }
    }
}

extension String {
    /// Equality of bytes, as Python compares, rather than of canonical forms.
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
