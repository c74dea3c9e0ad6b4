import Testing
import WinnowJSON
import WinnowReport

@Suite struct PageTests {
    private static func page(_ text: String) -> Page {
        var table = Table([.init(text), .figures("n")], caption: text)
        table.add([text, "1"], highlighted: true)
        table.add(["b", "2"])
        return Page(
            text, lead: text,
            sections: [
                .init(nil, [table]),
                .init(
                    text, isGrid: true,
                    [
                        ScatterChart("one", x: "x", y: "y", points: [.init(text, x: 1, y: 1)]),
                        BarChart("two", unit: text, bars: [.init(text, 1)]),
                        HeatChart("three", rows: [text], values: [[1]]),
                        Sample(text, text: text, isBase: true),
                        Sample("silent", text: " \n"), Paragraph(text),
                    ]),
            ],
            conditions: [(text, text)], data: ["b": .number(.nan), "a": .string(text)])
    }

    @Test(arguments: ["plain", "<b>&\"'", "\u{0}\u{7}\u{FFFE}", "", "\u{202E}日本語 🦙"])
    func pagesAreWellFormed(_ text: String) throws {
        let elements = try XMLChecker.elements(of: PageTests.page(text).html)
        #expect(elements.first?.name == "html")
        #expect(elements.count { $0.name == "svg" } == 3)
        #expect(elements.contains { $0.text == "(nothing)" })
        // Nothing from outside, nothing that runs.
        for element in elements {
            #expect(!["script", "link", "img", "iframe", "object"].contains(element.name))
            #expect(
                element.attributes.keys.allSatisfy { !["src", "href"].contains($0) && !$0.hasPrefix("on") })
        }
        let style = try #require(elements.first { $0.name == "style" })
        #expect(style.text.contains("prefers-color-scheme: dark"))
        #expect(!style.text.contains("url(") && !style.text.contains("@import"))
    }

    @Test func everyClassOfAPageHasAStyle() throws {
        let elements = try XMLChecker.elements(of: PageTests.page("x").html)
        let style = try #require(elements.first { $0.name == "style" }).text
        // What is drawn in the colour of its parent needs no rule of its own.
        for name in Set(elements.flatMap { ($0.attributes["class"] ?? "").split(separator: " ") }) {
            #expect(style.contains(".\(name)"), "no style for \(name)")
        }
    }

    @Test func theBaseRowStandsOut() throws {
        let elements = try XMLChecker.elements(of: PageTests.page("x").html)
        #expect(elements.filter { $0.name == "tr" }.map { $0.attributes["class"] } == [nil, "base", nil])
    }

    @Test func dataHasSortedKeysAndNoNaN() {
        #expect(PageTests.page("x").json == "{\n  \"a\": \"x\",\n  \"b\": null\n}\n")
    }
}
