import Testing
import WinnowText

@Suite struct PreTokenizerTests {
    /// Every text of Tools/make-pre-tokenizer-fixtures.py is cut where Hugging Face's tokenizers cut it.
    @Test(arguments: PreTokenizer.allCases)
    func cutsWhereTokenizersCuts(_ rule: PreTokenizer) throws {
        let cases = try #require(try Fixture.json("pre-tokenizers.json").array)
        #expect(cases.count > 100)
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            let expected = try #require(entry["words"]?[rule.name]?.array).map { $0.integer ?? 0 }
            let words = rule.words(in: text)
            #expect(words.map { $0.unicodeScalars.count } == expected, "\(rule) \(text.debugDescription)")
            #expect(words.joined().utf8.elementsEqual(text.utf8))
        }
    }
}
