/// Curves of a figure over another with a mark on every point, a ring where each bends, and what the base reaches.
public struct CurveChart: Sendable, Equatable {
    public struct Series: Sendable, Equatable {
        public var name: String
        /// By rising x.
        public var points: [(x: Double, y: Double)]
        /// Where the curve bends; nil draws no mark.
        public var knee: Double?
        /// Single points without a line between them.
        public var isScattered: Bool

        public init(
            _ name: String, points: [(x: Double, y: Double)], knee: Double? = nil, isScattered: Bool = false
        ) {
            self.name = name
            self.points = points
            self.knee = knee
            self.isScattered = isScattered
        }

        public static func == (a: Series, b: Series) -> Bool {
            a.name == b.name && a.knee == b.knee && a.isScattered == b.isScattered
                && a.points.elementsEqual(b.points) { $0 == $1 }
        }
    }

    public var title: String
    public var xTitle: String
    public var yTitle: String
    public var series: [Series]
    /// A horizontal line: what the file that was given reaches.
    public var reference: Double?

    public init(_ title: String, x: String, y: String, series: [Series], reference: Double? = nil) {
        self.title = title
        xTitle = x
        yTitle = y
        self.series = series
        self.reference = reference
    }

    private func shown(_ series: Series) -> [(x: Double, y: Double)] {
        series.points.filter { AxisScale.shows($0.x) && AxisScale.shows($0.y) }
    }

    public var svg: String {
        let (width, height) = (620.0, 400.0)
        let (left, right, top, bottom) = (66.0, width - 16, 14.0, height - 54)
        var drawing = Drawing(width: width, height: height)
        let all = series.flatMap(shown)
        guard !all.isEmpty else {
            drawing.text("No figures", x: width / 2, y: height / 2, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        let xScale = AxisScale(all.map(\.x), from: left + 10, to: right - 10, includesZero: true)
        let yScale = AxisScale(
            all.map(\.y) + (reference.map { [$0] } ?? []), from: bottom - 10, to: top + 10)
        drawing.axes(x: xScale, xTitle, y: yScale, yTitle, plot: (left, right, top, bottom))
        if let reference {
            drawing.line(left, yScale.position(reference), right, yScale.position(reference), "reference")
        }

        var ends: [(x: Double, y: Double)] = []
        var path: [(x: Double, y: Double)] = []
        for series in series {
            let points = shown(series)
            let places = points.map { (x: xScale.position($0.x), y: yScale.position($0.y)) }
            guard let last = places.last else { continue }
            ends.append(last)
            if !series.isScattered, places.count > 1 {
                drawing.path(places, "curve")
                path += places
            }
            for (point, place) in zip(points, places) {
                let tip =
                    "\(series.name): \(Format.significant(point.x)) and \(Format.significant(point.y, 4))"
                drawing.circle(
                    x: place.x, y: place.y, radius: series.isScattered ? 5.5 : 3.5, "point", tip: tip)
            }
            if let knee = series.knee, let y = CurveChart.value(of: points, at: knee) {
                drawing.circle(
                    x: xScale.position(knee), y: yScale.position(y), radius: 7, "point base",
                    tip: "\(series.name) bends at \(Format.significant(knee))")
            }
        }
        let drawn = series.filter { !shown($0).isEmpty }
        let placement = LabelPlacement(
            bounds: .init(x: left + 2, y: top, width: right - left, height: bottom - top - 3), fontSize: 13.5)
        let boxes = placement.boxes(drawn.map(\.name), at: ends, avoiding: path)
        for (series, (box, end)) in zip(drawn, zip(boxes, ends)) {
            let (at, anchor): (Double, Drawing.Anchor) =
                box.x >= end.x
                ? (box.x, .start)
                : box.x + box.width <= end.x ? (box.x + box.width, .end) : (box.x + box.width / 2, .middle)
            drawing.text(series.name, x: at, y: box.y + box.height * 0.78, "label", anchor: anchor)
        }
        return drawing.svg(id: title, title: title, description: description)
    }

    /// Between two points a curve is straight.
    private static func value(of points: [(x: Double, y: Double)], at x: Double) -> Double? {
        for (a, b) in zip(points, points.dropFirst()) where a.x <= x && x <= b.x {
            return b.x == a.x ? b.y : a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x)
        }
        return nil
    }

    private var description: String {
        series.map { series in
            let points = shown(series).map { "\(Format.significant($0.x)): \(Format.significant($0.y, 4))" }
            let knee = series.knee.map { "; bends at \(Format.significant($0))" } ?? ""
            return "\(series.name): " + points.joined(separator: ", ") + knee
        }.joined(separator: ". ") + "."
    }
}

extension CurveChart: PageElement {
    public var html: String {
        var notes: [String] = []
        if series.contains(where: { $0.knee != nil }) { notes.append("Rings are where a curve bends.") }
        if reference != nil { notes.append("The line across is the file as given.") }
        return Figure.html(svg: svg, title: title, note: notes.isEmpty ? nil : notes.joined(separator: " "))
    }
}
