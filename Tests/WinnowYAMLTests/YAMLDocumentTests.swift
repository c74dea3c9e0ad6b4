import Testing
import WinnowJSON
import WinnowYAML

@Suite struct YAMLDocumentTests {
    private func read(_ text: String) throws -> JSONValue {
        try YAMLDocument(parsing: text, file: "r.yaml").value
    }

    @Test(
        arguments: [
            ("2:4", .string("2:4")), ("yes", .string("yes")), ("1_000", .string("1_000")),
            ("12e03", .number(12000)),
            ("0x1F", .integer(31)), ("0o17", .integer(15)), ("017", .integer(17)), ("-3", .integer(-3)),
            ("+.5", .number(0.5)), ("5.", .number(5)), ("1e-4", .number(1e-4)), (".", .string(".")),
            ("e3", .string("e3")),
            ("~", .null), ("", .null), ("TRUE", .bool(true)), ("'true'", .string("true")),
            ("\"2\"", .string("2")),
            ("!!str 5", .string("5")), (".nan", .string(".nan")), ("0x-1", .string("0x-1")),
            ("0x", .string("0x")),
            ("1e999", .string("1e999")), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
            ("re:.*q_proj$", .string("re:.*q_proj$")), ("W4A16", .string("W4A16")),
            ("2024-01-01", .string("2024-01-01")),
        ] as [(String, JSONValue)])
    func scalarsFollowTheCoreSchema(text: String, expected: JSONValue) throws {
        #expect(try read("key: \(text)")["key"] == expected)
    }

    @Test func keepsTheOrderAndTheLines() throws {
        let text = """
            # a recipe
            phases:
              - method: wanda
                pattern: 2:4
              - {method: gptq, bits: 4}
            defaults: &shared
              seed: 0
            again: *shared
            """
        let document = try YAMLDocument(parsing: text, file: "r.yaml")
        #expect(document.value.object?.keys == ["phases", "defaults", "again"])
        #expect(document.value["again"]?["seed"] == .integer(0))
        let phase = YAMLPath().appending("phases").appending(1)
        #expect("\(phase.appending("bits"))" == "phases[1].bits")
        #expect(document.line(of: phase.appending("bits")) == 5)
        #expect(document.line(of: phase.appending("absent")) == 5)
        #expect(document.line(of: YAMLPath().appending("phases").appending(0).appending("pattern")) == 4)
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3", 1, "'a' stands twice"), ("a: [1, 2", 2, "flow sequence"),
        ("a: !function f.g", 1, "!function"),
        ("a: 1\n? [b]\n: 2", 2, "no word"), ("a: *nothing", 1, "undefined alias"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("1: x\n\"1\": y", 1, "'1' stands twice"),
    ])
    func refusesWithTheLine(text: String, line: Int, words: String) throws {
        let error = #expect(throws: YAMLError.self) { try read(text) }
        #expect(error?.line == line)
        #expect(error?.reason.contains(words) == true, "\(error?.reason ?? "")")
    }

    @Test func hostileTextsEndInErrors() {
        let laughs = (1...12).reduce("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n") { text, level in
            let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            return text + "a\(level): &a\(level) [\(aliases)]\n"
        }
        let deepFlow = String(repeating: "[", count: 100_000)
        let deepBlock = String(repeating: "- ", count: 100_000)
        let deepButClosed = String(repeating: "[", count: 400) + String(repeating: "]", count: 400)
        let deepKeys = String(repeating: "? ", count: 5000)
        for text in [
            laughs, deepFlow, deepBlock, deepButClosed, deepKeys, "\u{0}", "a: \u{7}", "%YAML 9.9\n---\na",
            "&a *a",
        ] {
            #expect(throws: YAMLError.self) { try read(text) }
        }
        #expect(throws: YAMLError.self) { try YAMLDocument(parsing: [0x61, 0x3A, 0xFF], file: "r.yaml") }
    }

    @Test func mutatedTextsNeverTrap() {
        let seed = Array(
            "phases:\n  - method: wanda  # c\n    'pattern': \"2:4\"\n  - &x {a: [1, ~], b: !!str |\n}\nz: *x\n"
                .utf8)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                    in: 9...126, using: &generator)
            }
            _ = try? YAMLDocument(parsing: bytes, file: "r.yaml")
        }
    }

    @Test func writtenValuesReadBackEqual() throws {
        let value: JSONValue = .object(
            JSONObject([
                ("pattern", "2:4"), ("yes", .bool(true)), ("word", "wanda"), ("empty", ""), ("space ", " x "),
                ("list", .array([1, 2.5, .null, .array([]), .object(JSONObject())])),
                ("number", .number(1e-12)),
                ("text", "two\nlines: \"é\" # \t"), ("targets", "re:.*q_proj$"), ("123", "123"),
                ("star", "*a"),
                (
                    "nested",
                    .object(JSONObject([("deep", .array([.object(JSONObject([("a", 1), ("b", "no")]))]))]))
                ),
            ]))
        let text = value.yaml()
        #expect(try read(text) == value)
        #expect(text.contains("pattern: \"2:4\"") && text.contains("word: wanda"), "\(text)")
    }
}
