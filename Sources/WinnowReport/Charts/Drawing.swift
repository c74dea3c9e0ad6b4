/// The elements of one chart as SVG text. Colours are classes: the page's style gives them for light and dark.
struct Drawing {
    let width: Double
    let height: Double
    private var elements = ""

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    enum Anchor: String { case start, middle, end }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
        elements += "<line class=\"\(style)\" x1=\"\(Markup.number(x1))\" y1=\"\(Markup.number(y1))\""
        elements += " x2=\"\(Markup.number(x2))\" y2=\"\(Markup.number(y2))\"/>\n"
    }

    mutating func path(_ points: [(x: Double, y: Double)], _ style: String) {
        let text = points.map { "\(Markup.number($0.x)),\(Markup.number($0.y))" }.joined(separator: " ")
        elements += "<polyline class=\"\(style)\" points=\"\(text)\"/>\n"
    }

    /// - Parameter opacity: for cells whose strength shows a value.
    mutating func rectangle(
        x: Double, y: Double, width: Double, height: Double, _ style: String, opacity: Double? = nil,
        tip: String? = nil
    ) {
        elements += "<rect class=\"\(style)\" x=\"\(Markup.number(x))\" y=\"\(Markup.number(y))\""
        elements += " width=\"\(Markup.number(max(width, 0)))\" height=\"\(Markup.number(max(height, 0)))\""
        if let opacity { elements += " fill-opacity=\"\(Markup.number(opacity))\"" }
        elements += tip.map { "><title>\(Markup.escape($0))</title></rect>\n" } ?? "/>\n"
    }

    mutating func circle(x: Double, y: Double, radius: Double, _ style: String, tip: String) {
        elements += "<circle class=\"\(style)\" cx=\"\(Markup.number(x))\" cy=\"\(Markup.number(y))\""
        elements += " r=\"\(Markup.number(radius))\"><title>\(Markup.escape(tip))</title></circle>\n"
    }

    mutating func text(
        _ text: String, x: Double, y: Double, _ style: String, anchor: Anchor = .start, turned: Bool = false
    ) {
        elements += "<text class=\"\(style)\" x=\"\(Markup.number(x))\" y=\"\(Markup.number(y))\""
        if anchor != .start { elements += " text-anchor=\"\(anchor.rawValue)\"" }
        if turned { elements += " transform=\"rotate(-90 \(Markup.number(x)) \(Markup.number(y)))\"" }
        elements += ">\(Markup.escape(text))</text>\n"
    }

    /// The whole picture. Readers that do not see it get the title and the description.
    ///
    /// - Parameter id: unique in the page; letters, digits and dashes.
    func svg(id: String, title: String, description: String) -> String {
        let id = Drawing.identifier(id)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Markup.number(width)) \(Markup.number(height))" \
            role="img" aria-labelledby="\(id)-title \(id)-desc">
            <title id="\(id)-title">\(Markup.escape(title))</title>
            <desc id="\(id)-desc">\(Markup.escape(description))</desc>
            \(elements)</svg>

            """
    }

    /// Letters, digits and dashes of a text.
    static func identifier(_ text: String) -> String {
        let bytes = text.lowercased().utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "-")
            }
        }
        return "c-" + String(decoding: bytes, as: UTF8.self)
    }

    /// About how wide a text will be; fonts differ, so it errs on the wide side.
    static func width(of text: String, size: Double) -> Double { Double(text.count) * size * 0.58 }
}

/// A picture with a heading and, where something needs saying, a note: what a page shows of a chart.
struct Figure {
    static func html(svg: String, title: String, note: String?) -> String {
        var html = "<figure>\n<figcaption>\(Markup.escape(title))</figcaption>\n\(svg)"
        if let note { html += "<p class=\"note\">\(Markup.escape(note))</p>\n" }
        return html + "</figure>\n"
    }
}
