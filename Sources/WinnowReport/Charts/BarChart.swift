/// One figure for each of several things: horizontal bars from zero, each under its name and value.
///
/// The bar of the base (the file that was given) has its own colour, and a mark on every other bar's line.
public struct BarChart: Sendable, Equatable {
    public struct Bar: Sendable, Equatable {
        public var name: String
        /// Zero or more; one that is not finite is a dash.
        public var value: Double
        public var isBase: Bool

        public init(_ name: String, _ value: Double, isBase: Bool = false) {
            self.name = name
            self.value = value
            self.isBase = isBase
        }
    }

    public var title: String
    /// Behind each value: tokens/s.
    public var unit: String
    public var bars: [Bar]
    /// Said under the chart: which direction is better, what was measured.
    public var note: String?

    public init(_ title: String, unit: String, bars: [Bar], note: String? = nil) {
        self.title = title
        self.unit = unit
        self.bars = bars
        self.note = note
    }

    public var svg: String {
        let width = 520.0
        let rowHeight = 44.0
        let height = max(Double(bars.count) * rowHeight + 8, 60)
        var drawing = Drawing(width: width, height: height)
        guard !bars.isEmpty else {
            drawing.text("No figures", x: width / 2, y: height / 2, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        let left = 2.0
        let right = width - 4
        let scale = AxisScale(bars.map { max($0.value, 0) }, from: left, to: right, includesZero: true)
        let base = bars.first(where: \.isBase).map(\.value)
        for (index, bar) in bars.enumerated() {
            let top = Double(index) * rowHeight + 4
            drawing.text(bar.name, x: left, y: top + 13, bar.isBase ? "label strong" : "label")
            drawing.text(
                text(bar), x: right, y: top + 13, bar.isBase ? "value strong" : "value", anchor: .end)
            let end = AxisScale.shows(bar.value) ? scale.position(max(bar.value, 0)) : left
            drawing.rectangle(
                x: left, y: top + 19, width: end - left, height: 16, bar.isBase ? "bar base" : "bar",
                tip: "\(bar.name): \(text(bar))")
            if let base, AxisScale.shows(base), base > 0, !bar.isBase {
                // Where the given file's bar ends: what this one is read against.
                drawing.line(scale.position(base), top + 18, scale.position(base), top + 38, "reference")
            }
        }
        return drawing.svg(id: title, title: title, description: description)
    }

    private func text(_ bar: Bar) -> String {
        AxisScale.shows(bar.value) ? "\(Format.significant(bar.value)) \(unit)" : "–"
    }

    private var description: String { bars.map { "\($0.name): \(text($0))" }.joined(separator: "; ") + "." }
}

extension BarChart: PageElement {
    public var html: String { Figure.html(svg: svg, title: title, note: note) }
}
