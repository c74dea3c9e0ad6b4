/// Rows of text under titled columns, for a terminal and for a page.
public struct Table: Sendable, Equatable {
    public enum Alignment: Sendable, Equatable {
        case leading, trailing
    }

    public struct Column: Sendable, Equatable {
        public var title: String
        public var alignment: Alignment

        public init(_ title: String, _ alignment: Alignment = .leading) {
            self.title = title
            self.alignment = alignment
        }

        /// A column of figures.
        public static func figures(_ title: String) -> Column { Column(title, .trailing) }
    }

    public var columns: [Column]
    public private(set) var rows: [[String]] = []
    /// Rows that stand out: the base that others are compared with.
    public private(set) var highlighted: Set<Int> = []
    /// A line under the table: conditions of the measurement.
    public var caption: String?

    public init(_ columns: [Column], rows: [[String]] = [], caption: String? = nil) {
        self.columns = columns
        self.caption = caption
        for row in rows { add(row) }
    }

    /// Adds a row, one cell a column.
    public mutating func add(_ row: [String], highlighted: Bool = false) {
        precondition(row.count == columns.count, "a row of \(row.count) cells in \(columns.count) columns")
        if highlighted { self.highlighted.insert(rows.count) }
        rows.append(row)
    }

    /// Aligned columns, two spaces apart, under a rule; ends with a newline.
    public var text: String {
        let widths = columns.indices.map { column in
            ([columns[column].title] + rows.map { $0[column] }).map(\.count).max() ?? 0
        }
        func line(_ cells: [String]) -> String {
            var line = cells.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].count)
                return columns[column].alignment == .leading ? cells[column] + space : space + cells[column]
            }.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }
        var text = line(columns.map(\.title))
        text += widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ") + "\n"
        for row in rows { text += line(row) }
        if let caption { text += caption + "\n" }
        return text
    }
}

extension Table: PageElement {
    public var html: String {
        func cell(_ tag: String, _ column: Int, _ text: String) -> String {
            let style = columns[column].alignment == .trailing ? " class=\"figure\"" : ""
            let scope = tag == "th" ? " scope=\"col\"" : ""
            return "<\(tag)\(scope)\(style)>\(Markup.escape(text))</\(tag)>"
        }
        var html = "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>"
        html += columns.indices.map { cell("th", $0, columns[$0].title) }.joined()
        html += "</tr></thead>\n<tbody>\n"
        for (index, row) in rows.enumerated() {
            html += highlighted.contains(index) ? "<tr class=\"base\">" : "<tr>"
            html += row.indices.map { cell("td", $0, row[$0]) }.joined()
            html += "</tr>\n"
        }
        html += "</tbody></table></div>\n"
        if let caption { html += "<p class=\"caption\">\(Markup.escape(caption))</p>\n" }
        return html
    }
}
