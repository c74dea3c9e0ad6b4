import Testing
import WinnowJSON
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct ChatTemplateTests {
    /// The instant of Tools/template_environment.py.
    static let date = TemplateDate(year: 2026, month: 3, day: 7, hour: 9, minute: 5, second: 1)

    /// Every case of Tools/make-template-fixtures.py gives the bytes that Python's Jinja2 gave, or an error
    /// where that gave one.
    @Test func rendersAsJinjaDoes() throws {
        let cases = try #require(try Fixture.json("chat-templates.json").array)
        #expect(cases.count > 100)
        for entry in cases {
            let name = entry["name"]?.string ?? ""
            let template = entry["template"]?.string ?? ""
            let context = entry["context"]?.object ?? JSONObject()
            var text: String?
            var problem: TemplateError?
            do throws(TemplateError) {
                text = try ChatTemplate(source: template).render(
                    context: context, date: ChatTemplateTests.date)
            } catch { problem = error }
            if let expected = entry["expected"]?.string {
                #expect(
                    text.map { Array($0.utf8) } == Array(expected.utf8),
                    "\(name): \(problem?.description ?? text ?? "")")
            } else {
                #expect(problem != nil, "\(name) gave \(text ?? "")")
            }
        }
    }

    /// The folder of templates of Tools/compare-templates.
    @Test(.enabled(if: getenv("WINNOW_TEMPLATES") != nil)) func rendersRealTemplates() throws {
        let path = try #require(getenv("WINNOW_TEMPLATES").map { String(cString: $0) })
        let file = try JSONValue(parsing: Fixture.bytes(at: path))
        var compiled: [String: Result<ChatTemplate, TemplateError>] = [:]
        for (name, source) in file["templates"]?.object?.pairs ?? [] {
            compiled[name] = Result { () throws(TemplateError) in
                try ChatTemplate(source: source.string ?? "")
            }
        }
        var tallies: [String: (same: Int, refused: [String: Int], different: Int)] = [:]
        for entry in file["cases"]?.array ?? [] {
            let name = entry["template"]?.string ?? ""
            let template = try #require(compiled[name])
            let context = entry["context"]?.object ?? JSONObject()
            let expected = entry["expected"]?.string
            var tally = tallies[name] ?? (0, [:], 0)
            do throws(TemplateError) {
                let text = try template.get().render(context: context, date: ChatTemplateTests.date)
                let isSame = expected.map { $0.utf8.elementsEqual(text.utf8) } ?? false
                if isSame { tally.same += 1 } else { tally.different += 1 }
                #expect(isSame, "\(entry["name"]?.string ?? "")")
            } catch {
                if expected == nil { tally.same += 1 } else { tally.refused["\(error)", default: 0] += 1 }
            }
            tallies[name] = tally
        }
        for (name, tally) in tallies.sorted(by: { $0.key < $1.key }) {
            print("template: \(name): \(tally.same) equal, \(tally.different) different")
            for (reason, count) in tally.refused { print("template:   refused \(count) times: \(reason)") }
        }
    }

    @Test(arguments: [
        ("{{ a }}\n  {{ x | wordcount }}", "the filter 'wordcount'", 2, 8),
        ("é{% include 'x' %}", "the statement 'include'", 1, 5),
        ("a\n\n{% if x %}{{ y }}{% block z %}", "the statement 'block'", 3, 21),
        ("{% for a in b recursive %}", "a recursive loop", 1, 15),
        ("{{ 'a\n' }}{{ x is glued }}", "the test 'glued'", 2, 10),
    ]) func unsupportedPartsAreNamed(_ source: String, _ construct: String, _ line: Int, _ column: Int) {
        #expect(
            throws: TemplateError.unsupported(
                construct: construct, origin: TemplateOrigin(line: line, column: column))
        ) { try ChatTemplate(source: source) }
    }

    @Test func errorsSayWhere() throws {
        #expect(
            throws: TemplateError.syntax(
                origin: TemplateOrigin(line: 2, column: 7), message: "unexpected '%}', expected a value")
        ) { try ChatTemplate(source: "x\n{% if %}") }
        let template = try ChatTemplate(source: "{% if x %}\n {{ 'a' | nothing }}{% endif %}")
        let origin = TemplateOrigin(line: 2, column: 9)
        #expect(throws: TemplateError.unsupported(construct: "the filter 'nothing'", origin: origin)) {
            try template.render(context: JSONObject([("x", 1)]))
        }
        let error = TemplateError.unsupported(construct: "the filter 'nothing'", origin: origin)
        #expect(
            error.description
                == "chat template, line 2, column 9: the filter 'nothing' is not supported; "
                + "use raw prompts or give a simpler template")
    }

    /// Templates that call themselves, nest, or grow without end stop with an error.
    @Test(arguments: [
        "{% macro f(n) %}{% if n %}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(1) }}",
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{{ caller }}{% endmacro %}{% call f() %}{% endcall %}",
        "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% macro f() %}{% endmacro %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='aaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{{ '{0}{0}{0}{0}{0}{0}{0}{0}'.format('a' * 9999999) }}",
    ]) func hostileTemplatesEnd(_ source: String) throws {
        #expect(throws: TemplateError.self) { try ChatTemplate(source: source).render(context: JSONObject()) }
    }

    /// What transformers passes to every template.
    @Test func toolsAndDocumentsAreDefined() throws {
        let template = try ChatTemplate(
            source: "{{ tools is defined }}{{ documents is none }}{{ tools is none }}")
        #expect(try template.render(messages: []) == "TrueTrueTrue")
        #expect(try template.render(messages: [], extra: ["tools": []]) == "TrueTrueFalse")
    }
}
