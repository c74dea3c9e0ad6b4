/// A key of a mapping, with Python's equality: `1`, `1.0` and `true` are one key.
enum TemplateKey: Hashable, Sendable, ExpressibleByStringLiteral {
    case string(String)
    case integer(Int)
    case none

    init(stringLiteral text: String) { self = .string(text) }

    /// Nil for what is no key of ours: lists, and numbers that are not whole.
    init?(_ value: TemplateValue) {
        switch value {
        case .string(let text): self = .string(text)
        case .none: self = .none
        case .number(let number):
            guard let integer = Int(exactly: number) else { return nil }
            self = .integer(integer)
        default:
            guard let integer = value.integer else { return nil }
            self = .integer(integer)
        }
    }

    var value: TemplateValue {
        switch self {
        case .string(let text): .string(text)
        case .integer(let value): .integer(value)
        case .none: .none
        }
    }

    /// As `json.dumps` spells it.
    var text: String {
        switch self {
        case .string(let text): text
        case .integer(let value): String(value)
        case .none: "null"
        }
    }

    static func == (left: TemplateKey, right: TemplateKey) -> Bool {
        switch (left, right) {
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.integer(let a), .integer(let b)): a == b
        case (.none, .none): true
        default: false
        }
    }

    func hash(into hasher: inout Hasher) {
        switch self {
        case .string(var text): text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        case .integer(let value): hasher.combine(value)
        case .none: hasher.combine(0)
        }
    }
}

/// A mapping in order of insertion.
struct TemplateDictionary: Sendable {
    private(set) var keys: [TemplateKey] = []
    private(set) var values: [TemplateValue] = []
    private(set) var depth = 1
    /// Places by key, once there are more than a few.
    private var places: [TemplateKey: Int] = [:]

    private static let few = 12

    var count: Int { keys.count }
    var pairs: [(key: TemplateKey, value: TemplateValue)] { keys.indices.map { (keys[$0], values[$0]) } }

    /// Pairs as tuples.
    var items: [TemplateValue] { pairs.map { .tuple(TemplateList([$0.key.value, $0.value])) } }

    subscript(key: TemplateKey) -> TemplateValue? {
        get { place(key).map { values[$0] } }
        set {
            guard let newValue else { return }
            depth = max(depth, newValue.depth + 1)
            if let place = place(key) {
                values[place] = newValue
                return
            }
            keys.append(key)
            values.append(newValue)
            if keys.count > TemplateDictionary.few {
                if places.isEmpty { for (place, key) in keys.enumerated() { places[key] = place } }
                places[key] = keys.count - 1
            }
        }
    }

    subscript(key: String) -> TemplateValue? {
        get { self[TemplateKey.string(key)] }
        set { self[TemplateKey.string(key)] = newValue }
    }

    private func place(_ key: TemplateKey) -> Int? {
        places.isEmpty ? keys.firstIndex(of: key) : places[key]
    }
}
