/// Points of two figures, both better when smaller: the frontier of size against quality.
///
/// The points that no other beats in both figures are joined by a line; the one marked as base (the file that was
/// given) is a ring.
public struct ScatterChart: Sendable, Equatable {
    public struct Point: Sendable, Equatable {
        public var name: String
        public var x: Double
        public var y: Double
        /// Half the length of a vertical bar, in y's unit; nil or not finite draws none.
        public var error: Double?
        public var isBase: Bool

        public init(_ name: String, x: Double, y: Double, error: Double? = nil, isBase: Bool = false) {
            self.name = name
            self.x = x
            self.y = y
            self.error = error
            self.isBase = isBase
        }
    }

    public var title: String
    /// Axis titles with their units.
    public var xTitle: String
    public var yTitle: String
    public var points: [Point]

    public init(_ title: String, x: String, y: String, points: [Point]) {
        self.title = title
        xTitle = x
        yTitle = y
        self.points = points
    }

    private var shown: [Point] { points.filter { AxisScale.shows($0.x) && AxisScale.shows($0.y) } }

    /// The points that none beats: none is smaller in one figure and not larger in the other. By rising x.
    public var frontier: [Point] {
        var best = Double.infinity
        var result: [Point] = []
        for point in shown.sorted(by: { ($0.x, $0.y) < ($1.x, $1.y) }) where point.y < best {
            best = point.y
            result.append(point)
        }
        return result
    }

    public var svg: String {
        let width = 520.0
        let height = 380.0
        let (left, right, top, bottom) = (66.0, width - 16, 14.0, height - 54)
        var drawing = Drawing(width: width, height: height)
        let shown = shown
        guard !shown.isEmpty else {
            drawing.text("No figures", x: width / 2, y: height / 2, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        let xScale = AxisScale(shown.map(\.x), from: left + 10, to: right - 10)
        let yScale = AxisScale(shown.map(\.y), from: bottom - 10, to: top + 10)

        drawing.axes(x: xScale, xTitle, y: yScale, yTitle, plot: (left, right, top, bottom))

        // Steps: between two points nothing better is known than the smaller one's quality.
        var path: [(x: Double, y: Double)] = []
        for point in frontier {
            let x = xScale.position(point.x)
            if let last = path.last { path.append((x, last.y)) }
            path.append((x, yScale.position(point.y)))
        }
        if path.count > 1 { drawing.path(path, "frontier") }
        for point in shown {
            let x = xScale.position(point.x)
            let y = yScale.position(point.y)
            if let error = point.error, error.isFinite, error > 0 {
                let top = yScale.position(min(point.y + error, yScale.upper))
                drawing.line(x, top, x, yScale.position(max(point.y - error, yScale.lower)), "error")
            }
            let tip = "\(point.name): \(Format.significant(point.x)) and \(Format.significant(point.y, 4))"
            drawing.circle(
                x: x, y: y, radius: point.isBase ? 6.5 : 5.5, point.isBase ? "point base" : "point", tip: tip)
        }
        let placement = LabelPlacement(
            bounds: .init(x: left + 2, y: top, width: right - left, height: bottom - top - 3), fontSize: 13.5)
        // The base chooses first: its label is the one that must be read.
        let order = shown.sorted { $0.isBase && !$1.isBase }
        let boxes = placement.boxes(
            order.map(\.name), at: order.map { (xScale.position($0.x), yScale.position($0.y)) },
            avoiding: path)
        for (point, box) in zip(order, boxes) {
            let center = box.x + box.width / 2
            let x = xScale.position(point.x)
            // Set against the mark's side, so that a width guessed wrong leaves no gap there.
            let (at, anchor): (Double, Drawing.Anchor) =
                box.x >= x
                ? (box.x, .start) : box.x + box.width <= x ? (box.x + box.width, .end) : (center, .middle)
            drawing.text(
                point.name, x: at, y: box.y + box.height * 0.78, point.isBase ? "label strong" : "label",
                anchor: anchor)
        }
        return drawing.svg(id: title, title: title, description: description)
    }

    private var description: String {
        let facts = shown.map {
            "\($0.name): \(xTitle) \(Format.significant($0.x)), \(yTitle) \(Format.significant($0.y, 4))"
        }
        let best = frontier.map(\.name).joined(separator: ", ")
        return facts.joined(separator: "; ") + ". Beaten by none in both: \(best)."
    }
}

extension ScatterChart: PageElement {
    public var html: String {
        let hidden = points.filter { !AxisScale.shows($0.x) || !AxisScale.shows($0.y) }.map(\.name)
        var note = "Lower and further left is better. The line joins what nothing beats in both."
        if points.contains(where: \.isBase) { note += " The ring is the file as given." }
        if !hidden.isEmpty { note += " Not shown, without figures: \(hidden.joined(separator: ", "))." }
        return Figure.html(svg: svg, title: title, note: shown.isEmpty ? nil : note)
    }
}
