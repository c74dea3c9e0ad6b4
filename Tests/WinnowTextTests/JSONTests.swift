import Testing
import WinnowJSON

@Suite struct JSONTests {
    @Test func keepsWhatItReads() throws {
        let text = #"{"b":[1,-2,3.5,1e-05,true,null,""],"a":{"é":"\"\\\n\u0001"},"e\u0301":9007199254740993}"#
        let value = try JSONValue(parsing: text)
        #expect(value.object?.keys == ["b", "a", "e\u{301}"])
        #expect(value["e\u{301}"]?.integer == 9_007_199_254_740_993)
        #expect(value["\u{e9}"] == nil)
        #expect(try JSONValue(parsing: value.text()) == value)
        #expect(try JSONValue(parsing: value.text(indent: 2)) == value)
        #expect(JSONValue.number(.nan).text() == "null")
        #expect(
            JSONValue.object(JSONObject([("b", 1), ("a", 2)])).text(sortedKeys: true) == #"{"a":2,"b":1}"#)
        #expect(try JSONValue(parsing: #""\ud83c\udf3e\ud83c""#) == .string("🌾\u{FFFD}"))
    }

    @Test(
        arguments: [
            ("", .unexpectedEnd), ("[1,", .unexpectedEnd), ("\"a", .unexpectedEnd), ("tru", .unexpectedEnd),
            ("[1 2]", .unexpected(found: "'2'", offset: 3)), ("{a:1}", .unexpected(found: "'a'", offset: 1)),
            ("1 x", .unexpected(found: "'x'", offset: 2)), ("[1,]", .unexpected(found: "']'", offset: 3)),
            ("\"\t\"", .unexpected(found: "byte 9", offset: 1)), ("01", .invalidNumber(offset: 0)),
            ("1.", .invalidNumber(offset: 0)), ("-", .invalidNumber(offset: 0)),
            ("\"\\x\"", .invalidEscape(offset: 2)),
            (String(repeating: "[", count: 200), .tooDeep(limit: 128, offset: 128)),
        ] as [(String, JSONError)])
    func errors(_ text: String, _ error: JSONError) {
        #expect(throws: error) { try JSONValue(parsing: text) }
    }

    @Test func brokenUTF8() {
        #expect(throws: JSONError.invalidUTF8(offset: 1)) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }
}
