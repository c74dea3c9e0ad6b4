import Testing
import WinnowJSON
import WinnowText

@Suite struct ChatTemplateTests {
    /// Every case of Tools/make-template-fixtures.py gives the bytes that Python's Jinja2 gave, or an error
    /// where that gave one.
    @Test func rendersAsJinjaDoes() throws {
        let cases = try #require(try Fixture.json("chat-templates.json").array)
        #expect(cases.count > 60)
        for entry in cases {
            let name = entry["name"]?.string ?? ""
            let template = entry["template"]?.string ?? ""
            let context = entry["context"]?.object ?? JSONObject()
            var text: String?
            var problem: TemplateError?
            do throws(TemplateError) {
                text = try ChatTemplate(source: template).render(context: context)
            } catch { problem = error }
            if let expected = entry["expected"]?.string {
                #expect(text.map { Array($0.utf8) } == Array(expected.utf8), "\(name): \(problem?.description ?? text ?? "")")
            } else {
                #expect(problem != nil, "\(name) gave \(text ?? "")")
            }
        }
    }
}
