import Testing
import WinnowJSON
import WinnowText

@Suite struct PreTokenizerTests {
    /// Every text of Tools/make-pre-tokenizer-fixtures.py is cut where Hugging Face's tokenizers cut it.
    @Test(arguments: PreTokenizer.all)
    func cutsWhereTokenizersCuts(_ rule: PreTokenizer) throws {
        let cases = try #require(try Fixture.json("pre-tokenizers.json").array)
        #expect(cases.count > 90)
        // Names that differ in more than their cuts share their cuts' words.
        let name = try #require(PreTokenizer.all.first { $0 == rule }?.name)
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            let expected = try #require(entry["words"]?[name]?.array).map { $0.integer ?? 0 }
            let words = rule.words(in: text)
            #expect(words.map { $0.unicodeScalars.count } == expected, "\(name) \(text.debugDescription)")
            #expect(words.joined().utf8.elementsEqual(text.utf8))
        }
    }

    @Test(arguments: PreTokenizer.all)
    func writtenAndRecognised(_ rule: PreTokenizer) throws {
        #expect(try PreTokenizer(byteLevel: rule.json) == rule)
    }

    @Test(arguments: [
        (#"{"type":"Split","pattern":{"Regex":"x+"},"behavior":"Isolated","invert":false}"#, "x+"),
        (#"{"type":"UnicodeScripts"}"#, "UnicodeScripts"),
        (#"{"type":"Sequence","pretokenizers":[]}"#, #"{"type":"Sequence","pretokenizers":[]}"#),
    ]) func unknownOnesAreNamed(_ json: String, _ name: String) throws {
        let json = try JSONValue(parsing: Array(json.utf8))
        #expect(throws: TokenizerError.unsupportedPreTokenizer(name)) { try PreTokenizer(byteLevel: json) }
    }

    @Test func unknownNames() {
        #expect(throws: TokenizerError.unsupportedPreTokenizer("afmoe")) {
            try PreTokenizer(ggufName: "afmoe")
        }
    }
}
