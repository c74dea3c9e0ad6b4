import WinnowCore
import WinnowText

extension Tokenizer {
    /// SHA-256 of what decides the ids of a text: vocabulary, kinds, merges, scores, cuts and control tokens.
    public var fingerprint: String {
        var hash = SHA256()
        func add(_ text: String) {
            Array(text.utf8).withUnsafeBytes { hash.add($0) }
            [UInt8(0)].withUnsafeBytes { hash.add($0) }
        }
        let definition = definition
        add("\(definition.model)")
        for (token, kind) in zip(definition.tokens, definition.kinds) {
            add(token)
            [kind.rawValue].withUnsafeBytes { hash.add($0) }
        }
        definition.merges.withUnsafeBytes { hash.add($0) }
        definition.scores.withUnsafeBytes { hash.add($0) }
        for token in definition.addedTokens {
            add("\(token.id) \(token.content) \(token.isSpecial) \(token.stripsLeft) \(token.stripsRight)")
        }
        add("\(definition.preTokenizer)")
        add("\(definition.normalizer) \(definition.ignoresMerges)")
        add(String(describing: definition.spaceMarks))
        add("\(definition.addsBOS) \(definition.bosID ?? -1) \(definition.eosID ?? -1)")
        return hash.hexadecimal()
    }
}
