/// Curves of figures over a common axis: losses by step.
///
/// Each line has its own dash pattern and its name at its end, so that it is told apart without colour.
public struct LineChart: Sendable, Equatable {
    public struct Line: Sendable, Equatable {
        public var name: String
        /// By rising x; those that are not finite leave a gap.
        public var points: [Point]
        public var isBase: Bool

        public init(_ name: String, _ points: [Point], isBase: Bool = false) {
            self.name = name
            self.points = points
            self.isBase = isBase
        }
    }

    public struct Point: Sendable, Equatable {
        public var x: Double
        public var y: Double

        public init(_ x: Double, _ y: Double) {
            self.x = x
            self.y = y
        }
    }

    public var title: String
    /// Axis titles with their units.
    public var xTitle: String
    public var yTitle: String
    public var lines: [Line]
    public var note: String?

    public init(_ title: String, x: String, y: String, lines: [Line], note: String? = nil) {
        self.title = title
        xTitle = x
        yTitle = y
        self.lines = lines
        self.note = note
    }

    /// More points than pixels say nothing more: neighbours are averaged.
    static func thinned(_ points: [Point], to most: Int = 400) -> [Point] {
        guard points.count > most else { return points }
        let group = (points.count + most - 1) / most
        return stride(from: 0, to: points.count, by: group).map { first in
            let some = points[first..<min(first + group, points.count)]
            return Point(
                some.reduce(0) { $0 + $1.x } / Double(some.count),
                some.reduce(0) { $0 + $1.y } / Double(some.count))
        }
    }

    public var svg: String {
        let width = 620.0
        let height = 380.0
        let (left, right, top, bottom) = (66.0, width - 16, 14.0, height - 54)
        var drawing = Drawing(width: width, height: height)
        let shown = lines.map { line in
            Line(
                line.name,
                LineChart.thinned(line.points.filter { AxisScale.shows($0.x) && AxisScale.shows($0.y) }),
                isBase: line.isBase)
        }.filter { !$0.points.isEmpty }
        guard !shown.isEmpty else {
            drawing.text("No figures", x: width / 2, y: height / 2, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        let xs = shown.flatMap { $0.points.map(\.x) }
        let xScale = AxisScale(xs, from: left, to: right - 4, includesZero: true)
        let yScale = AxisScale(shown.flatMap { $0.points.map(\.y) }, from: bottom - 8, to: top + 8)
        drawing.axes(x: xScale, xTitle, y: yScale, yTitle, plot: (left, right, top, bottom))
        var taken: [Double] = []
        for (index, line) in shown.enumerated() {
            let style = line.isBase ? "curve base" : "curve dash-\(index % 4)"
            let path = line.points.map { (x: xScale.position($0.x), y: yScale.position($0.y)) }
            if path.count > 1 {
                drawing.path(path, style)
            } else {
                drawing.circle(
                    x: path[0].x, y: path[0].y, radius: 4, line.isBase ? "point base" : "point",
                    tip: line.name)
            }
            // Names stand at the ends of their lines, each a line of text away from the others.
            let end = path[path.count - 1]
            var y = end.y - 7
            while let near = taken.first(where: { abs($0 - y) < 16 }) { y = near - 16 }
            taken.append(y)
            let fits = end.x - Drawing.width(of: line.name, size: 13.5) > left
            drawing.text(
                line.name, x: min(end.x, right - 6), y: y, line.isBase ? "label strong" : "label",
                anchor: fits ? .end : .start)
        }
        return drawing.svg(id: title, title: title, description: description(shown))
    }

    private func description(_ shown: [Line]) -> String {
        shown.map { line in
            let (first, last) = (line.points[0], line.points[line.points.count - 1])
            return
                "\(line.name): from \(Format.significant(first.y, 4)) at \(Format.significant(first.x)) to "
                + "\(Format.significant(last.y, 4)) at \(Format.significant(last.x))"
        }.joined(separator: "; ") + ". \(yTitle) over \(xTitle)."
    }
}

extension LineChart: PageElement {
    public var html: String { Figure.html(svg: svg, title: title, note: note) }
}
