import WinnowCore
import WinnowJSON

/// Damages JSON as a tree: the text stays JSON, but not the one that a reader expects.
///
/// One to three nodes are replaced by other values, dropped, or written twice, the same ones for the same seed.
/// Nodes near the root, where the fields with a meaning are, are chosen as often as the many below.
public struct JSONTreeMutator {
    /// A value, or its text where that is nothing a `JSONValue` can be.
    private indirect enum Node {
        case leaf(String)
        case array([Node])
        case object([(key: String, value: Node)])

        init(_ value: JSONValue) {
            switch value {
            case .array(let values): self = .array(values.map(Node.init))
            case .object(let object): self = .object(object.pairs.map { ($0.key, Node($0.value)) })
            default: self = .leaf(value.text())
            }
        }

        /// Nodes below this one, itself counted, down to a depth.
        func count(depth: Int) -> Int {
            guard depth > 0 else { return 1 }
            return switch self {
            case .leaf: 1
            case .array(let values): values.reduce(1) { $0 + $1.count(depth: depth - 1) }
            case .object(let pairs): pairs.reduce(1) { $0 + $1.value.count(depth: depth - 1) }
            }
        }

        func write(to text: inout String) {
            switch self {
            case .leaf(let leaf): text += leaf
            case .array(let values):
                text += "["
                for (index, value) in values.enumerated() {
                    if index > 0 { text += "," }
                    value.write(to: &text)
                }
                text += "]"
            case .object(let pairs):
                text += "{"
                for (index, pair) in pairs.enumerated() {
                    if index > 0 { text += "," }
                    text += JSONValue.string(pair.key).text() + ":"
                    pair.value.write(to: &text)
                }
                text += "}"
            }
        }
    }

    private let original: Node
    private var random: Random

    /// - Throws: `JSONError` when the text is not JSON to begin with.
    public init(_ text: [UInt8], seed: UInt64) throws {
        original = Node(try JSONValue(parsing: text))
        random = Random(seed: seed)
    }

    /// What stands in place of a value, whatever that was.
    private static let values: [String] = [
        "null", "true", "false", "0", "-1", "1", "0.5", "1e999", "-1e308", "1e-400", "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "18446744073709551616", "4294967296", "2147483648",
        "123456789012345678901234567890", "\"\"", "\"NaN\"", "\"-Infinity\"", "\"0\"", "\"\\u0000\"",
        "\"../../x\"",
        "\"\\ud83d\\ude00\"", "[]", "{}", "[[]]", "[null]", "{\"\":null}", "[1,\"a\",{}]",
        String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
        String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000),
        String(repeating: "{\"a\":", count: 100) + "1" + String(repeating: "}", count: 100),
        "\"" + String(repeating: "a", count: 70_000) + "\"",
        "[" + String(repeating: "0,", count: 5000) + "0]",
    ]

    public mutating func next() -> [UInt8] {
        var tree = original
        for _ in 0...below(3) {
            let depth = below(2) == 0 ? 2 : Int.max
            var place = below(tree.count(depth: depth))
            change(&tree, at: &place, depth: depth)
        }
        var text = ""
        tree.write(to: &text)
        return Array(text.utf8)
    }

    /// Finds the node that is `place` steps away in the order of the text, and damages it.
    private mutating func change(_ node: inout Node, at place: inout Int, depth: Int) {
        guard place > 0 else { return damage(&node) }
        place -= 1
        switch node {
        case .leaf: return
        case .array(var values):
            for index in values.indices {
                let count = values[index].count(depth: depth - 1)
                guard place >= count else {
                    if !(place == 0 && dropOrRepeat(&values, at: index)) {
                        change(&values[index], at: &place, depth: depth - 1)
                    }
                    node = .array(values)
                    return
                }
                place -= count
            }
        case .object(var pairs):
            for index in pairs.indices {
                let count = pairs[index].value.count(depth: depth - 1)
                guard place >= count else {
                    if !(place == 0 && dropOrRepeat(&pairs, at: index)) {
                        change(&pairs[index].value, at: &place, depth: depth - 1)
                    }
                    node = .object(pairs)
                    return
                }
                place -= count
            }
        }
    }

    /// Removes an element or writes it twice, anywhere; false when the turn is another damage's.
    private mutating func dropOrRepeat<Element>(_ elements: inout [Element], at index: Int) -> Bool {
        switch below(6) {
        case 0: elements.remove(at: index)
        case 1: elements.insert(elements[index], at: below(elements.count + 1))
        default: return false
        }
        return true
    }

    private mutating func damage(_ node: inout Node) {
        switch (node, below(4)) {
        case (.leaf(let text), 0) where text.first?.isNumber ?? false:
            node = .leaf(["-" + text, text + "0", text + ".5", "\"\(text)\"", "[\(text)]"][below(5)])
        case (.array(let values), 0): node = .array(values.reversed())
        case (.object(let pairs), 0) where !pairs.isEmpty:
            var pairs = pairs
            let (one, other) = (below(pairs.count), below(pairs.count))
            (pairs[one].value, pairs[other].value) = (pairs[other].value, pairs[one].value)
            node = .object(pairs)
        default: node = .leaf(JSONTreeMutator.values[below(JSONTreeMutator.values.count)])
        }
    }

    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
}
