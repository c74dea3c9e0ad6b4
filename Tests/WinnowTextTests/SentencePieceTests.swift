import Testing
import WinnowJSON
import WinnowText

/// Models that Tools/make-sentencepiece-fixtures.py trained, against the `sentencepiece` and `tiktoken` packages.
@Suite struct SentencePieceTests {
    static let names = ["llama", "gemma", "words", "unigram", "suffix", "mapped"]

    static func model(_ name: String) throws -> ([UInt8], [JSONValue]) {
        let fixture = try Fixture.json("tokenizers/spm-\(name).json")
        let text = try #require(fixture["model"]?.string)
        let bytes = try #require(Base64.decode(text))
        return (bytes, try #require(fixture["cases"]?.array))
    }

    static func definition(_ bytes: [UInt8], _ configuration: JSONValue? = nil) throws -> TokenizerDefinition
    {
        try bytes.withUnsafeBufferPointer {
            try TokenizerDefinition(sentencePiece: $0, configuration: configuration)
        }
    }

    @Test(arguments: names) func sameIDsAndText(_ name: String) throws {
        let (bytes, cases) = try SentencePieceTests.model(name)
        let tokenizer = try Tokenizer(SentencePieceTests.definition(bytes))
        #expect(cases.count > 30)
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            let expected = try #require(entry["ids"]?.array).map { TokenID($0.integer ?? -1) }
            let ids = tokenizer.encode(text, special: .asText)
            #expect(ids == expected, "\(text.debugDescription)")
            guard let decoded = entry["decoded"]?.string else { continue }
            #expect(tokenizer.decode(ids).utf8.elementsEqual(decoded.utf8), "\(text.debugDescription)")
            var stream = StreamingDetokenizer(tokenizer)
            let pieces = ids.map { stream.append($0) } + [stream.finish()]
            #expect(pieces.joined().utf8.elementsEqual(decoded.utf8))
        }
    }

    @Test func specialAndAddedTokens() throws {
        let (bytes, _) = try SentencePieceTests.model("llama")
        let plain = try SentencePieceTests.definition(bytes)
        #expect(plain.bosID == 1)
        #expect(plain.eosID == 2)
        #expect(plain.addsBOS)
        #expect(!plain.addsEOS)
        let count = plain.tokens.count
        let configuration: JSONValue = [
            "add_bos_token": false, "eos_token": "<|end|>", "chat_template": "{{ x }}",
            "added_tokens_decoder": .object(
                JSONObject([
                    ("1", ["content": "<s>", "special": true]),
                    ("\(count)", ["content": "<|end|>", "special": true]),
                    ("\(count + 1)", ["content": "<tool>", "special": false, "rstrip": true]),
                ])),
        ]
        let tokenizer = try Tokenizer(SentencePieceTests.definition(bytes, configuration))
        #expect(tokenizer.definition.eosID == TokenID(count))
        #expect(!tokenizer.addsBOS)
        #expect(tokenizer.definition.chatTemplate == "{{ x }}")
        let ids = tokenizer.encode("<s><tool>  <|end|>")
        #expect(ids == [1, TokenID(count + 1), TokenID(count)])
        #expect(!tokenizer.encode("<s>", special: .asText).contains(1))
        #expect(
            throws: TokenizerError.idOutOfRange(
                name: "the id of the added token 'x'", id: count + 1, count: count + 1)
        ) {
            let far: JSONValue = .object(JSONObject([("\(count + 1)", ["content": "x"])]))
            try SentencePieceTests.definition(bytes, ["added_tokens_decoder": far])
        }
        #expect(throws: TokenizerError.duplicateID(5, first: plain.tokens[5], second: "x")) {
            try SentencePieceTests.definition(bytes, ["added_tokens_decoder": ["5": ["content": "x"]]])
        }
    }

    /// Cut short anywhere or with any byte changed, a model opens or is refused; it never traps.
    @Test(arguments: ["words", "mapped"]) func damagedModels(_ name: String) throws {
        let (bytes, _) = try SentencePieceTests.model(name)
        var refused = 0
        for end in stride(from: 0, to: bytes.count, by: 37) {
            do { _ = try Tokenizer(SentencePieceTests.definition(Array(bytes[..<end]))) } catch {
                refused += 1
            }
        }
        var state: UInt64 = 7
        for _ in 0..<120 {
            var damaged = bytes
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                damaged[Int(state >> 33) % damaged.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            do {
                let tokenizer = try Tokenizer(SentencePieceTests.definition(damaged))
                _ = tokenizer.decode(tokenizer.encode("the ﬁrst ½ table <table> 日本"))
            } catch { refused += 1 }
        }
        #expect(refused > 40)
    }

    /// Merges of pieces that hold spaces themselves, as Gemma's, cannot be told apart in a text with spaces.
    @Test func mergesOfSpacesComeBack() throws {
        let pieces = ["<unk>", " ", "  ", "   ", "a", " a", "a "]
        let vocabulary = JSONObject(pieces.enumerated().map { ($0.element, .integer(Int64($0.offset))) })
        let merges: JSONValue = [[" ", " "], ["  ", " "], [" ", "a"], ["a", " "]]
        let json: JSONValue = [
            "model": ["type": "BPE", "vocab": .object(vocabulary), "merges": merges, "unk_token": "<unk>"],
            "added_tokens": [],
        ]
        let definition = try TokenizerDefinition(tokenizerJSON: json, configuration: nil)
        let again = try TokenizerDefinition(tokenizerJSON: definition.tokenizerJSON(), configuration: nil)
        #expect(again.merges == definition.merges && definition.merges.count == 4)
    }

    @Test func hostileModels() throws {
        func error(_ bytes: [UInt8]) -> TokenizerError? {
            do { _ = try SentencePieceTests.definition(bytes) } catch { return error as? TokenizerError }
            return nil
        }
        #expect(error([]) == .emptyVocabulary)
        let file = "tokenizer.model"
        #expect(
            error([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
                == .malformed(file, reason: "field 1 of 34359738367 bytes, where 0 are left before byte 6"))
        #expect(error([0x0A]) == .malformed(file, reason: "a number that does not end before byte 1"))
        #expect(
            error([UInt8](repeating: 0xFF, count: 12))
                == .malformed(file, reason: "a number of more than ten bytes before byte 10"))
        #expect(error([0x0B]) == .malformed(file, reason: "field 1 of wire type 3 before byte 1"))
        #expect(error([0x08, 0x01]) == .malformed(file, reason: "field 1 is no message"))
        #expect(error([0x0A, 0]) == .malformed("piece 0 of tokenizer.model", reason: "it has no text"))
        #expect(
            error([0x0A, 3, 0x0A, 1, 0xFF])
                == .malformed("piece 0 of tokenizer.model", reason: "its text is not UTF-8"))
        #expect(error([0x0A, 5, 0x0A, 1, 0x61, 0x18, 9]) == .unknownKind(9, token: 0))
        let piece: [UInt8] = [0x0A, 5, 0x0A, 1, 0x61, 0x18, 2]
        #expect(error(piece + piece) == .duplicateToken("a", first: 0, second: 1))
        #expect(error(piece + [0x12, 2, 0x18, 9]) == .unsupportedModel("SentencePiece model type 9"))
        #expect(error(piece + [0x12, 2, 0x18, 3]) != nil)
    }

    /// A piece of that length among the merges would take the square of its length.
    @Test func longPieces() throws {
        var metadata = GGUFTokenizer(
            model: "llama", tokens: ["<unk>", "a", String(repeating: "a", count: 1 << 16)])
        metadata.kinds = [2, 1, 1]
        metadata.scores = [0, 0, 0]
        #expect(throws: TokenizerError.pieceTooLong(token: 2, bytes: 1 << 16)) {
            try TokenizerDefinition(metadata)
        }
        // The other kinds walk a trie, whatever their pieces' lengths.
        metadata.model = "t5"
        let unigram = try Tokenizer(TokenizerDefinition(metadata))
        #expect(unigram.encode(String(repeating: "b", count: 10_000), special: .asText).count == 1)
        metadata.model = "bert"
        metadata.unknown = 0
        _ = try Tokenizer(TokenizerDefinition(metadata)).encode(String(repeating: "a", count: 10_000))
    }

    @Test func rankFiles() throws {
        let fixture = try Fixture.json("tokenizers/rank-file.json")
        let bytes = Array(try #require(fixture["lines"]?.string).utf8)
        let rules = TokenizerDefinition.RankFileRules(
            preTokenizer: "llama-bpe", special: ["<|eot_id|>"], bos: nil)
        let tokenizer = try bytes.withUnsafeBufferPointer {
            #expect(TokenizerDefinition.isRankFile($0))
            return try Tokenizer(TokenizerDefinition(ranks: $0, modelType: nil, rules: rules))
        }
        for entry in try #require(fixture["cases"]?.array) {
            let text = try #require(entry["text"]?.string)
            let expected = try #require(entry["ids"]?.array).map { TokenID($0.integer ?? -1) }
            #expect(tokenizer.encode(text) == expected, "\(text.debugDescription)")
            #expect(tokenizer.decode(expected) == text)
        }
        #expect(tokenizer.encode("a<|eot_id|>").last == TokenID(tokenizer.vocabularySize - 1))

        func error(_ text: String, _ type: String? = "qwen") -> TokenizerError? {
            do {
                let bytes = Array(text.utf8)
                _ = try bytes.withUnsafeBufferPointer { try TokenizerDefinition(ranks: $0, modelType: type) }
            } catch { return error as? TokenizerError }
            return nil
        }
        #expect(error("") == .emptyVocabulary)
        #expect(error("YQ== 0\nYg== 2\n") == .malformed("the rank file", reason: "line 2 has rank 2"))
        #expect(
            error("YQ== 0\nY!== 1\n")
                == .malformed("the rank file", reason: "line 2 is not a token in base64, a space and a rank"))
        #expect(error("YQ== x\n") == .malformed("the rank file", reason: "line 1 is not ended by a rank"))
        #expect(error("YQ== 0\nYQ== 1\n") == .duplicateToken("a", first: 0, second: 1))
        #expect(
            error("YQ== 0\n", "gemma")
                == .unsupportedPreTokenizer("of a rank file for the model type 'gemma'"))
        let (model, _) = try SentencePieceTests.model("words")
        #expect(!model.withUnsafeBufferPointer { TokenizerDefinition.isRankFile($0) })
    }
}
