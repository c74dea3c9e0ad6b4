import WinnowJSON

/// A report: one HTML file that needs nothing else, and the JSON with the same figures.
///
/// The HTML is well-formed XML, follows the reader's light or dark scheme, and runs no script.
public struct Page: Sendable {
    public var title: String
    /// The sentence a reader takes away.
    public var lead: String
    public var sections: [Section]
    /// What the figures were measured under; shown last.
    public var conditions: [(name: String, value: String)]
    /// The figures, as the JSON file beside the page holds them.
    public var data: JSONValue

    public struct Section: Sendable {
        /// nil for elements that need no heading.
        public var heading: String?
        public var elements: [any PageElement]
        /// Side by side where the window is wide enough.
        public var isGrid: Bool

        public init(_ heading: String? = nil, isGrid: Bool = false, _ elements: [any PageElement]) {
            self.heading = heading
            self.isGrid = isGrid
            self.elements = elements
        }
    }

    public init(
        _ title: String, lead: String, sections: [Section] = [],
        conditions: [(name: String, value: String)] = [], data: JSONValue = .object(JSONObject())
    ) {
        self.title = title
        self.lead = lead
        self.sections = sections
        self.conditions = conditions
        self.data = data
    }

    public var html: String {
        var body =
            "<header>\n<h1>\(Markup.escape(title))</h1>\n<p class=\"lead\">\(Markup.escape(lead))</p>\n</header>\n"
        for section in sections {
            body += "<section>\n"
            if let heading = section.heading { body += "<h2>\(Markup.escape(heading))</h2>\n" }
            if section.isGrid { body += "<div class=\"grid\">\n" }
            for element in section.elements { body += element.html }
            if section.isGrid { body += "</div>\n" }
            body += "</section>\n"
        }
        if !conditions.isEmpty {
            body += "<section>\n<h2>Measured under</h2>\n<dl>\n"
            for (name, value) in conditions {
                body += "<div><dt>\(Markup.escape(name))</dt><dd>\(Markup.escape(value))</dd></div>\n"
            }
            body += "</dl>\n</section>\n"
        }
        return """
            <!DOCTYPE html>
            <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <title>\(Markup.escape(title))</title>
            <style>
            \(PageStyle.css)</style>
            </head>
            <body>
            <main>
            \(body)</main>
            </body>
            </html>

            """
    }

    /// Sorted keys, two spaces a level, a newline at the end.
    public var json: String { data.text(sortedKeys: true, indent: 2) + "\n" }
}

/// A paragraph of plain text.
public struct Paragraph: PageElement, Equatable {
    public var text: String
    public init(_ text: String) { self.text = text }
    public var html: String { "<p>\(Markup.escape(text))</p>\n" }
}

/// Something a model wrote, under the name of who wrote it; line breaks stay.
public struct Sample: PageElement, Equatable {
    public var name: String
    public var text: String
    public var isBase: Bool

    public init(_ name: String, text: String, isBase: Bool = false) {
        self.name = name
        self.text = text
        self.isBase = isBase
    }

    public var html: String {
        let style = isBase ? "sample base" : "sample"
        let shown = text.allSatisfy(\.isWhitespace) ? "(nothing)" : text
        return "<article class=\"\(style)\">\n<h3>\(Markup.escape(name))</h3>\n"
            + "<blockquote>\(Markup.escape(shown))</blockquote>\n</article>\n"
    }
}
