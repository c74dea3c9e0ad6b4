import Testing
import WinnowJSON
import WinnowText

/// Small tokenizers of each kind, made with Hugging Face's `tokenizers` by Tools/make-tokenizer-fixtures.py.
@Suite struct TokenizerKindTests {
    static let names = [
        "llama-prepend", "llama-metaspace", "gemma", "unigram", "unigram-words", "bert", "bert-cased",
        "bytes-nfc",
        "bytes-nfd", "bytes-nfkc", "bytes-nfkd",
    ]

    static func load(_ name: String) throws -> (Tokenizer, [JSONValue]) {
        let fixture = try Fixture.json("tokenizers/\(name).json")
        let json = try #require(fixture["tokenizer"])
        let tokenizer = try Tokenizer(TokenizerDefinition(tokenizerJSON: json, configuration: nil))
        return (tokenizer, try #require(fixture["cases"]?.array))
    }

    @Test(arguments: names) func sameIDsAndText(_ name: String) throws {
        let (tokenizer, cases) = try TokenizerKindTests.load(name)
        #expect(cases.count > 35)
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            let expected = try #require(entry["ids"]?.array).map { TokenID($0.integer ?? -1) }
            let ids = tokenizer.encode(text)
            #expect(ids == expected, "\(text.debugDescription)")
            let decoded = entry["decoded"]?.string ?? text
            #expect(tokenizer.decode(ids).utf8.elementsEqual(decoded.utf8), "\(text.debugDescription)")
            var stream = StreamingDetokenizer(tokenizer)
            let pieces = ids.map { stream.append($0) } + [stream.finish()]
            #expect(pieces.joined().utf8.elementsEqual(decoded.utf8))
        }
    }

    /// Scores give the merges that a list of them gives.
    @Test func scoresStandForMerges() throws {
        let (tokenizer, cases) = try TokenizerKindTests.load("llama-prepend")
        let given = tokenizer.definition
        var metadata = GGUFTokenizer(model: "llama", tokens: given.tokens)
        metadata.kinds = given.tokens.indices.map { id in
            given.tokens[id].hasPrefix("<0x") ? 6 : given.kinds[id].rawValue
        }
        metadata.scores = given.ggufScores
        metadata.unknown = 0
        let read = try Tokenizer(TokenizerDefinition(metadata))
        var equal = 0
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            if read.encode(text) == tokenizer.encode(text) { equal += 1 }
        }
        #expect(equal == cases.count)
        let written = try Tokenizer(
            TokenizerDefinition(tokenizerJSON: read.definition.tokenizerJSON(), configuration: nil))
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            #expect(written.encode(text) == read.encode(text))
            #expect(written.decode(read.encode(text)) == read.decode(read.encode(text)))
        }
    }

    /// What a GGUF file cannot say is refused before it is written.
    @Test func ggufObstacles() throws {
        func obstacle(_ name: String) throws -> String? {
            try TokenizerKindTests.load(name).0.definition.ggufObstacle
        }
        // Trained here without SentencePiece: some pairs that make a token are no merges.
        for name in ["llama-prepend", "llama-metaspace", "gemma"] {
            #expect(try obstacle(name) == "merges that do not follow from scores")
        }
        #expect(try obstacle("bytes-nfc") == nil)
        #expect(try obstacle("unigram") == "its kind")
        var metadata = GGUFTokenizer(model: "gemma4", tokens: ["<unk>", "a", "b", "ab", "ba", "aba"])
        metadata.kinds = [2, 1, 1, 1, 1, 1]
        metadata.merges = ["a b", "ab a"]
        #expect(try TokenizerDefinition(metadata).ggufObstacle == "its pre-tokenizer")
        // "ba" joins by its score, but no merge makes it.
        let json: JSONValue = [
            "normalizer": ["type": "Replace", "pattern": ["String": " "], "content": "▁"],
            "model": [
                "type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "merges": ["a b"],
                "vocab": ["<unk>": 0, "a": 1, "b": 2, "ab": 3, "ba": 4],
            ],
        ]
        let odd = try TokenizerDefinition(tokenizerJSON: json, configuration: nil)
        #expect(odd.ggufObstacle == "merges that do not follow from scores")
        let (bytes, _) = try SentencePieceTests.model("gemma")
        #expect(
            try SentencePieceTests.definition(bytes).ggufObstacle
                == "the normalizer or the user-defined pieces of its tokenizer.model")
        let plain = try SentencePieceTests.definition(SentencePieceTests.model("llama").0)
        #expect(plain.ggufObstacle == nil)
        let again = try TokenizerDefinition(tokenizerJSON: plain.tokenizerJSON(), configuration: nil)
        #expect(again.ggufObstacle == nil)
        #expect(again.kinds.filter { $0 == .byte }.count == 256)
    }

    @Test func spaceOfContinuedText() throws {
        let (tokenizer, _) = try TokenizerKindTests.load("llama-prepend")
        let ids = tokenizer.encode("the model")
        var stream = StreamingDetokenizer(tokenizer, continues: true)
        #expect((ids.map { stream.append($0) } + [stream.finish()]).joined() == " the model")
    }

    /// One word of very many letters must not take quadratic time in any kind.
    @Test(arguments: names) func longWordsAreQuick(_ name: String) throws {
        let (tokenizer, _) = try TokenizerKindTests.load(name)
        let elapsed = ContinuousClock().measure {
            _ = tokenizer.encode(String(repeating: "ab", count: 20_000))
        }
        #expect(elapsed < .seconds(600))
    }

    @Test func badMetadata() throws {
        func error(_ change: (inout GGUFTokenizer) -> Void) -> TokenizerError? {
            var metadata = GGUFTokenizer(model: "llama", tokens: ["<unk>", "a", "b", "ab"])
            metadata.kinds = [2, 1, 1, 1]
            metadata.scores = [0, -1, -2, -3]
            change(&metadata)
            do { _ = try Tokenizer(TokenizerDefinition(metadata)) } catch { return error }
            return nil
        }
        #expect(error { _ in } == nil)
        #expect(error { $0.scores = [] } == .scoreCount(scores: 0, tokens: 4))
        #expect(error { $0.scores = [0, 1, 2, 3, 4] } == .scoreCount(scores: 5, tokens: 4))
        #expect(error { $0.scores[2] = .nan } == .badScore(token: 2))
        #expect(error { $0.kinds = [2] } == .kindCount(kinds: 1, tokens: 4))
        #expect(error { $0.kinds[1] = 9 } == .unknownKind(9, token: 1))
        #expect(error { $0.tokens[2] = "a" } == .duplicateToken("a", first: 1, second: 2))
        #expect(
            error { $0.unknown = 4 }
                == .idOutOfRange(name: "tokenizer.ggml.unknown_token_id", id: 4, count: 4))
        #expect(error { $0.model = "rwkv" } == .unsupportedModel("rwkv"))
        #expect(error { $0.model = "gemma4" } == .missingMerges)
        #expect(error { $0.model = "gpt2" } != nil)
        #expect(
            error { ($0.model, $0.kinds) = ("t5", []) }
                == .missingKey("unknown token", expected: "the id of a token for what has no piece"))
        #expect(
            error { ($0.model, $0.kinds) = ("bert", []) }
                == .missingKey("unknown token", expected: "the id of a token for what has no piece"))
    }

    /// A map whose trie leads out of itself, or is cut short, is refused or finds nothing; it never traps.
    @Test func hostileCharacterMaps() throws {
        func tokenizer(_ map: [UInt8]) throws -> Tokenizer {
            var metadata = GGUFTokenizer(model: "t5", tokens: ["<unk>", "▁", "a"])
            metadata.kinds = [2, 1, 1]
            metadata.scores = [0, -1, -2]
            metadata.characterMap = map
            return try Tokenizer(TokenizerDefinition(metadata))
        }
        for bad in [
            [1, 2], [0, 0, 0, 0], [8, 0, 0, 0, 1, 2, 3, 4], [3, 0, 0, 0, 1, 2, 3],
            [4, 0, 0, 0, 0, 0, 0, 0, 0x41],
        ] as [[UInt8]] {
            #expect(throws: TokenizerError.self) { try tokenizer(bad) }
        }
        var state: UInt64 = 1
        for _ in 0..<200 {
            var map: [UInt8] = [64, 0, 0, 0]
            for _ in 0..<80 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                map.append(UInt8(truncatingIfNeeded: state >> 33))
            }
            map.append(0)
            _ = try tokenizer(map).encode("aé日本 \u{1F600}")
        }
    }

    @Test(arguments: [
        (#"{"type":"NFX"}"#, "normalizer", "NFX"),
        (#"{"type":"ByteLevel"}"#, "normalizer", "ByteLevel"),
        (
            #"{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"x"},"content":""}]}"#,
            "normalizer Replace", #"{"Regex":"x"}"#
        ),
    ]) func unknownNormalizersAreNamed(_ normalizer: String, _ key: String, _ value: String) throws {
        let json: JSONValue = [
            "normalizer": try JSONValue(parsing: Array(normalizer.utf8)),
            "model": ["type": "WordPiece", "unk_token": "[UNK]", "vocab": ["[UNK]": 0]],
        ]
        #expect(throws: TokenizerError.unsupportedFeature(key: key, value: value)) {
            try TokenizerDefinition(tokenizerJSON: json, configuration: nil)
        }
    }
}
