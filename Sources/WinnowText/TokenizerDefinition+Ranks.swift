import WinnowJSON

extension TokenizerDefinition {
    /// What a rank file of tiktoken does not say: how text is cut, and the tokens beyond its own.
    public struct RankFileRules: Sendable {
        public var preTokenizer: String
        /// Contents of special tokens; their ids follow the file's.
        public var special: [String]
        public var bos: String?

        /// The rules of a model, by `model_type` of its config.json; nil where none are known.
        public init?(modelType: String?, tokens: Int) {
            switch modelType {
            case "llama" where tokens == 128_000:
                var names = [
                    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                    "<|reserved_special_token_1|>", "<|reserved_special_token_2|>",
                    "<|reserved_special_token_3|>",
                    "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>",
                ]
                names += (5...250).map { "<|reserved_special_token_\($0)|>" }
                (preTokenizer, special, bos) = ("llama-bpe", names, "<|begin_of_text|>")
            case "qwen":
                let names =
                    ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + (0..<205).map { "<|extra_\($0)|>" }
                (preTokenizer, special, bos) = ("qwen2", names, nil)
            case "kimi_k2", "kimi_linear", "moonlight":
                (preTokenizer, special, bos) = ("kimi-k2", [], nil)
            default: return nil
            }
        }

        public init(preTokenizer: String, special: [String], bos: String?) {
            (self.preTokenizer, self.special, self.bos) = (preTokenizer, special, bos)
        }
    }

    /// Whether a file is a list of tokens in base64 and their ranks.
    public static func isRankFile(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var lines = RankLines(bytes)
        guard let line = try? lines.next() else { return false }
        return line.rank == 0 || line.rank == 1
    }

    /// Makes a definition of a rank file of tiktoken: a line each of a token in base64, a space and its rank.
    ///
    /// Any two tokens whose bytes make a token join, lowest rank first.
    public init(
        ranks bytes: UnsafeBufferPointer<UInt8>, modelType: String?, rules: RankFileRules? = nil,
        configuration: JSONValue? = nil, generation: JSONValue? = nil
    ) throws(TokenizerError) {
        var tokens: [String] = []
        var lines = RankLines(bytes)
        while let line = try lines.next() {
            guard line.rank == tokens.count else {
                throw .malformed("the rank file", reason: "line \(tokens.count + 1) has rank \(line.rank)")
            }
            var spelled = String.UnicodeScalarView()
            for byte in line.token { spelled.append(ByteAlphabet.scalars[Int(byte)]) }
            tokens.append(String(spelled))
        }
        let count = tokens.count
        guard count > 0 else { throw .emptyVocabulary }
        guard let rules = rules ?? RankFileRules(modelType: modelType, tokens: count) else {
            throw .unsupportedPreTokenizer(
                "of a rank file for the model type '\(modelType ?? "unknown")'")
        }
        var added = try TokenizerDefinition.addedTokens(configuration, nil, after: count)
        if added.isEmpty {
            added = rules.special.enumerated().map {
                AddedToken(id: TokenID(count + $0.offset), content: $0.element, isSpecial: true)
            }
        }
        for token in added where Int(token.id) >= count { tokens.append(token.content) }
        let table = try TokenizerDefinition.index(tokens)
        self.init(tokens: tokens)
        addedTokens = added
        for token in added { kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined }
        let row = try PreTokenizer.row(ggufName: rules.preTokenizer)
        preTokenizer = PreTokenizer(row)
        ignoresMerges = true
        scores = (0..<tokens.count).map { -Float($0) }
        merges = try mergesByScore(table)
        scores = []
        func id(_ key: String, _ other: String?) throws(TokenizerError) -> TokenID? {
            let entry = configuration?[key]
            guard let name = entry?.string ?? entry?["content"]?.string ?? other else { return nil }
            guard let found = table.find(name) else {
                throw .missingKey("token '\(name)'", expected: "\(key) of tokenizer_config.json names it")
            }
            return TokenID(found)
        }
        bosID = try id("bos_token", rules.bos)
        eosID = try id("eos_token", nil)
        paddingID = try id("pad_token", nil)
        endIDs = try TokenizerDefinition.endIDs(generation, count: tokens.count)
        eosID = eosID ?? endIDs.first
        addsBOS = bosID != nil && configuration?["add_bos_token"]?.bool ?? row.addsBOS
        chatTemplate = TokenizerDefinition.chatTemplate(configuration?["chat_template"])
    }
}

/// The lines of a rank file.
private struct RankLines {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var number = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func next() throws(TokenizerError) -> (token: [UInt8], rank: Int)? {
        while position < bytes.count, bytes[position] == 0x0A || bytes[position] == 0x0D {
            position += 1
        }
        guard position < bytes.count else { return nil }
        number += 1
        func fail(_ expected: String) -> TokenizerError {
            .malformed("the rank file", reason: "line \(number) is not \(expected)")
        }
        let start = position
        // No token is so long that its line has to be looked at further.
        while position < bytes.count, bytes[position] != 0x20, position - start < 1 << 16 {
            position += 1
        }
        guard position < bytes.count, bytes[position] == 0x20,
            let token = Base64.decode(bytes[start..<position]), !token.isEmpty
        else { throw fail("a token in base64, a space and a rank") }
        position += 1
        var rank = 0
        let digits = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]), position - digits < 9 {
            rank = rank * 10 + Int(bytes[position] - 0x30)
            position += 1
        }
        guard position > digits,
            position == bytes.count || bytes[position] == 0x0A || bytes[position] == 0x0D
        else { throw fail("ended by a rank") }
        return (token, rank)
    }
}
