import WinnowText

extension GGUFFile {
    /// The tokenizer that the file describes.
    ///
    /// - Throws: ``GGUFError``, or ``CheckpointError/badTokenizer(file:reason:)`` for what it describes wrongly.
    package func tokenizer() throws -> TokenizerDefinition {
        let prefix = "tokenizer.ggml."
        func required<Value>(_ key: String, _ expected: String, _ value: Value?) throws(GGUFError) -> Value {
            if let value { return value }
            guard let found = self[prefix + key] else {
                throw .missingKey(file: path, key: prefix + key, expected: expected)
            }
            throw .wrongValue(file: path, key: prefix + key, found: found.summary, expected: expected)
        }
        func has(_ key: String) -> Bool { self[prefix + key] != nil }
        var metadata = GGUFTokenizer(
            model: try required("model", "a text", self[prefix + "model"]?.string),
            tokens: try required("tokens", "an array of texts", try strings(prefix + "tokens")))
        metadata.pre = self[prefix + "pre"]?.string
        if has("token_type") {
            let kinds = try required("token_type", "an array of numbers", try integers(prefix + "token_type"))
            metadata.kinds = kinds.map { Int32(clamping: $0) }
        }
        if has("merges") {
            metadata.merges = try required("merges", "an array of texts", try strings(prefix + "merges"))
        }
        if has("scores") {
            metadata.scores = try required("scores", "an array of numbers", try numbers(prefix + "scores"))
        }
        if has("precompiled_charsmap") {
            let expected = "an array of bytes"
            let bytes = try required(
                "precompiled_charsmap", expected, try integers(prefix + "precompiled_charsmap"))
            metadata.characterMap = bytes.map { UInt8(truncatingIfNeeded: $0) }
        }
        metadata.bos = (self[prefix + "bos_token_id"] ?? self[prefix + "cls_token_id"])?.integer
        // The misspelling is the format's.
        metadata.eos = (self[prefix + "eos_token_id"] ?? self[prefix + "seperator_token_id"])?.integer
        metadata.unknown = self[prefix + "unknown_token_id"]?.integer
        metadata.padding = self[prefix + "padding_token_id"]?.integer
        metadata.addsBOS = self[prefix + "add_bos_token"]?.bool
        metadata.addsEOS = self[prefix + "add_eos_token"]?.bool
        metadata.addsSpacePrefix = self[prefix + "add_space_prefix"]?.bool
        metadata.removesExtraSpaces = self[prefix + "remove_extra_whitespaces"]?.bool
        metadata.chatTemplate = self["tokenizer.chat_template"]?.string
        do {
            return try TokenizerDefinition(metadata)
        } catch {
            throw CheckpointError.badTokenizer(file: path, reason: error.description)
        }
    }
}
