import WinnowJSON
import WinnowWeights

/// A method's settings: defaults live in `init()`, and the keys are a recipe's keys.
public protocol Configurable: Sendable {
    init()
    /// Every setting, once.
    static var keys: [ConfigurationKey<Self>] { get }
}

/// A setting under its name, in snake case as recipes write it.
public struct ConfigurationKey<Root> {
    public let name: String
    let read: (Root) -> JSONValue
    let write: (inout Root, JSONValue) -> Bool
    let expected: String

    public init<Value: ConfigurationValue>(_ name: String, _ path: WritableKeyPath<Root, Value>) {
        self.name = name
        expected = Value.expectation
        read = { $0[keyPath: path].json }
        write = { root, json in
            guard let value = Value(json: json) else { return false }
            root[keyPath: path] = value
            return true
        }
    }
}

/// A type that a setting may have.
public protocol ConfigurationValue {
    init?(json: JSONValue)
    var json: JSONValue { get }
    /// What errors say was expected.
    static var expectation: String { get }
}

extension Configurable {
    /// The defaults with some keys set.
    ///
    /// - Throws: ``ConfigurationError/unknownKey(key:known:)`` or ``ConfigurationError/badValue(key:value:expected:)``.
    public init(_ values: JSONObject) throws(ConfigurationError) {
        self.init()
        for (name, value) in values.pairs {
            guard let key = Self.keys.first(where: { $0.name == name }) else {
                throw .unknownKey(key: name, known: Self.keys.map(\.name))
            }
            guard key.write(&self, value) else {
                throw .badValue(key: name, value: value.text(), expected: key.expected)
            }
        }
    }

    /// All settings under their keys.
    public var json: JSONObject { JSONObject(Self.keys.map { ($0.name, $0.read(self)) }) }
}

/// Why settings make no sense.
public enum ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownKey(key: String, known: [String])
    case badValue(key: String, value: String, expected: String)
    case unknownMethod(name: String, known: [String])
    case globalNeedsWeightScore(method: String)
    case notPrunable(pattern: String, name: String)

    public var description: String {
        switch self {
        case .unknownKey(let key, let known):
            "no setting '\(key)'; there are \(known.joined(separator: ", "))"
        case .badValue(let key, let value, let expected): "\(key) is \(value); expected \(expected)"
        case .unknownMethod(let name, let known):
            "no method '\(name)'; there are \(known.joined(separator: ", "))"
        case .globalNeedsWeightScore(let method):
            "\(method) cannot choose over the whole model: its scores of two layers are not comparable; "
                + "use the scope row or matrix, or the method magnitude"
        case .notPrunable(let pattern, let name):
            "the target '\(pattern)' means \(name): only the linears of blocks are pruned or quantized"
        }
    }
}

extension Double: ConfigurationValue {
    public init?(json: JSONValue) {
        guard let value = json.number else { return nil }
        self = value
    }
    public var json: JSONValue { .number(self) }
    public static var expectation: String { "a number" }
}

extension Int: ConfigurationValue {
    public init?(json: JSONValue) {
        guard let number = json.number, let value = Int(exactly: number) else { return nil }
        self = value
    }
    public var json: JSONValue { .integer(Int64(self)) }
    public static var expectation: String { "a whole number" }
}

extension Bool: ConfigurationValue {
    public init?(json: JSONValue) {
        guard case .bool(let value) = json else { return nil }
        self = value
    }
    public var json: JSONValue { .bool(self) }
    public static var expectation: String { "true or false" }
}

extension String: ConfigurationValue {
    public init?(json: JSONValue) {
        guard let value = json.string else { return nil }
        self = value
    }
    public var json: JSONValue { .string(self) }
    public static var expectation: String { "a text" }
}

/// A setting that is one of a few words.
public protocol ConfigurationChoice: ConfigurationValue, RawRepresentable<String>, CaseIterable {}

extension ConfigurationChoice {
    public init?(json: JSONValue) {
        guard let value = json.string.flatMap(Self.init(rawValue:)) else { return nil }
        self = value
    }
    public var json: JSONValue { .string(rawValue) }
    public static var expectation: String {
        "one of " + allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    }
}

extension SparsityPattern: ConfigurationValue {
    public init?(json: JSONValue) {
        guard let value = json.string.flatMap(SparsityPattern.init) else { return nil }
        self = value
    }
    public var json: JSONValue { .string(description) }
    public static var expectation: String {
        "\"unstructured\", or \"N:M\" with 1 <= N < M <= \(largestGroup), which keeps N of M"
    }
}

extension SelectionScope: ConfigurationChoice {}
