import WinnowJSON
import Yams

extension JSONValue {
    /// The value as YAML that ``YAMLDocument`` reads back equal, keys in their order.
    public func yaml() -> String {
        do {
            return try Yams.serialize(node: node, width: -1, allowUnicode: true, newLineScalarStyle: .literal)
        } catch {
            // The emitter fails on trees that no JSON value gives.
            preconditionFailure("a JSON value that is no YAML: \(error)")
        }
    }

    private var node: Node {
        switch self {
        case .array(let elements):
            return Node(elements.map(\.node), .implicit, elements.isEmpty ? .flow : .block)
        case .object(let object):
            let pairs = object.pairs.map { (JSONValue.string($0.key).node, $0.value.node) }
            return Node(pairs, .implicit, pairs.isEmpty ? .flow : .block)
        case .string(let text):
            // Quoted wherever one of YAML's schemas would read something else: `2:4`, `yes`, `1_000`.
            return Node(text, .implicit, JSONValue.isPlainWord(text) ? .plain : .doubleQuoted)
        default: return Node(self.text(), .implicit, .plain)
        }
    }

    /// A letter, then letters, digits and the signs that mean nothing in YAML; none of YAML 1.1's words.
    private static func isPlainWord(_ text: String) -> Bool {
        let words: Set = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        guard let first = text.utf8.first, text.utf8.last != UInt8(ascii: " ") else { return false }
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A }
        let isWord = text.utf8.allSatisfy {
            isLetter($0) || ($0 >= 0x30 && $0 <= 0x39) || Array("_-./+ ".utf8).contains($0)
        }
        return isLetter(first) && isWord && !words.contains(text.lowercased())
    }
}
