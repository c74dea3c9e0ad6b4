import Testing
import WinnowJSON
import WinnowText

/// A vocabulary small enough to merge by hand.
@Suite struct BytePairTests {
    /// Ids 0-255 are the bytes, then the merges' results, then two added tokens.
    static func tokenizer(_ merges: [(String, String)] = [("a", "b"), ("ab", "c"), ("b", "c"), ("a", "a")])
        throws -> Tokenizer
    {
        var vocabulary = JSONObject()
        var next: UInt32 = 256
        for byte in UInt32(0)..<256 {
            let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
            let scalar = isPrintable ? byte : next
            if !isPrintable { next += 1 }
            vocabulary[String(Character(Unicode.Scalar(scalar)!))] = .integer(Int64(byte))
        }
        for (left, right) in merges { vocabulary[left + right] = .integer(Int64(vocabulary.count)) }
        let added: [JSONValue] = [("<s>", true), ("<tool>", false)].enumerated().map { index, token in
            [
                "id": .integer(Int64(vocabulary.count + index)), "content": .string(token.0),
                "special": .bool(token.1), "normalized": false,
            ]
        }
        let json: JSONValue = [
            "added_tokens": .array(added),
            "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true],
            "model": [
                "type": "BPE", "vocab": .object(vocabulary),
                "merges": .array(merges.map { .array([.string($0.0), .string($0.1)]) }),
            ],
        ]
        return try Tokenizer(TokenizerDefinition(tokenizerJSON: json, configuration: nil))
    }

    @Test(
        arguments: [
            ("", []), ("a", [97]), ("ab", [256]), ("abc", [257]), ("bc", [258]), ("aab", [97, 256]),
            ("aaa", [259, 97]),
            ("aabc", [97, 257]), ("abcabc", [257, 257]), ("a b", [97, 32, 98]), ("é", [0xC3, 0xA9]),
            ("\0", [0]),
            ("ab<s>ab", [256, 260, 256]), ("<s", [60, 115]), ("x<tool><s>", [120, 261, 260]),
        ] as [(String, [TokenID])])
    func workedCases(_ text: String, _ ids: [TokenID]) throws {
        let tokenizer = try BytePairTests.tokenizer()
        #expect(tokenizer.encode(text) == ids)
        #expect(tokenizer.decode(ids) == text)
    }

    @Test func controlTokensAsText() throws {
        let tokenizer = try BytePairTests.tokenizer()
        #expect(tokenizer.encode("<s>", special: .asText) == [60, 115, 62])
        #expect(tokenizer.encode("<tool>", special: .asText) == [261])
        #expect(tokenizer.decode([260, 97], skipSpecial: true) == "a")
    }

    /// One U+FFFD for each ill-formed part, as Python's and Rust's lossy decoding.
    @Test(
        arguments: [
            ([0x61, 0xFF, 0x62], "a\u{FFFD}b"), ([0xE2, 0x82], "\u{FFFD}"),
            ([0xE2, 0x82, 0x41], "\u{FFFD}A"),
            ([0xED, 0xA0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xF0, 0x9F, 0x98], "\u{FFFD}"),
            ([0xC0, 0x80], "\u{FFFD}\u{FFFD}"),
            ([0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
        ] as [([UInt8], String)])
    func brokenBytes(_ bytes: [UInt8], _ text: String) throws {
        let tokenizer = try BytePairTests.tokenizer()
        #expect(tokenizer.encode(bytes: bytes) == tokenizer.encode(text))
    }

    /// Very many equal letters are one word: merging it must not be quadratic.
    @Test func longWordsAreQuick() throws {
        var merges: [(String, String)] = []
        var piece = "a"
        for _ in 0..<6 {
            merges.append((piece, piece))
            piece += piece
        }
        let tokenizer = try BytePairTests.tokenizer(merges)
        var ids: [TokenID] = []
        let elapsed = ContinuousClock().measure {
            ids = tokenizer.encode(String(repeating: "a", count: 19_200))
        }
        #expect(ids == [TokenID](repeating: 261, count: 300))
        #expect(elapsed < .seconds(600))
    }

    /// Pieces come out whole, and joined they are the decoded text, for any ids.
    @Test func streamingNeverSplitsACharacter() throws {
        let tokenizer = try BytePairTests.tokenizer()
        let texts = ["naïve é 日本語 👩‍👩‍👧 𝒜", "\u{FFFD}\u{10FFFF}\u{7FF}\u{800}"].map { Array($0.utf8) }
        let broken: [[UInt8]] = [
            [0xE2, 0x82], [0xF0, 0x9F, 0x41], [0xED, 0xA0, 0x80, 0xFF, 0xC3], [0x80, 0xF4, 0x90],
        ]
        for bytes in texts + broken {
            let ids = bytes.map { TokenID($0) }
            var stream = StreamingDetokenizer(tokenizer)
            var pieces = ids.map { stream.append($0) }
            pieces.append(stream.finish())
            #expect(pieces.joined().utf8.elementsEqual(tokenizer.decode(ids).utf8))
            guard texts.contains(bytes) else { continue }
            #expect(pieces.allSatisfy { $0.unicodeScalars.count <= 1 })
            #expect(pieces.last == "")
        }
    }
}
