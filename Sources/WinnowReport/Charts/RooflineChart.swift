/// What kernels reach under the roofs of a machine: operations per second over operations a byte, both logarithmic.
///
/// Memory is the slope that all roofs share, each arithmetic a level line that begins where it meets the slope.
///
/// - Source: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
public struct RooflineChart: Sendable, Equatable {
    /// A level roof: an arithmetic and its operations per second.
    public struct Ceiling: Sendable, Equatable {
        public var name: String
        public var operationsPerSecond: Double

        public init(_ name: String, operationsPerSecond: Double) {
            self.name = name
            self.operationsPerSecond = operationsPerSecond
        }
    }

    public struct Point: Sendable, Equatable {
        public var name: String
        /// Operations a byte.
        public var intensity: Double
        public var operationsPerSecond: Double

        public init(_ name: String, intensity: Double, operationsPerSecond: Double) {
            self.name = name
            self.intensity = intensity
            self.operationsPerSecond = operationsPerSecond
        }
    }

    public var title: String
    /// Bytes per second.
    public var bandwidth: Double
    public var ceilings: [Ceiling]
    public var points: [Point]

    public init(_ title: String, bandwidth: Double, ceilings: [Ceiling], points: [Point]) {
        self.title = title
        self.bandwidth = bandwidth
        self.ceilings = ceilings
        self.points = points
    }

    private static func shows(_ value: Double) -> Bool { value > 0 && AxisScale.shows(value) }

    private var shown: [Point] {
        points.filter { RooflineChart.shows($0.intensity) && RooflineChart.shows($0.operationsPerSecond) }
    }

    private var roofs: [Ceiling] { ceilings.filter { RooflineChart.shows($0.operationsPerSecond) } }

    public var svg: String {
        let (width, height) = (620.0, 420.0)
        let (left, right, top, bottom) = (66.0, width - 16, 14.0, height - 54)
        var drawing = Drawing(width: width, height: height)
        let (shown, roofs) = (shown, roofs)
        guard !shown.isEmpty, RooflineChart.shows(bandwidth),
            let highest = roofs.map(\.operationsPerSecond).max()
        else {
            drawing.text("No figures", x: width / 2, y: height / 2, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        // From half of the smallest intensity to four times where the highest roof begins: slope and levels are seen.
        let intensities = shown.map(\.intensity)
        let low = min(intensities.min()!, 1) / 2
        let high = max(intensities.max()! * 1.5, highest / bandwidth * 4)
        let giga = 1e9
        let xScale = AxisScale([low, high], from: left, to: right - 4)
        let yScale = AxisScale(
            shown.map { $0.operationsPerSecond / giga }
                + [bandwidth * low / giga, highest * 1.3 / giga]
                + roofs.map { $0.operationsPerSecond / giga },
            from: bottom - 4, to: top + 4)
        drawing.axes(
            x: xScale, "operations a byte", y: yScale, "G operations a second",
            plot: (left, right, top, bottom))

        var lines: [(x: Double, y: Double)] = []
        func place(_ intensity: Double, _ operations: Double) -> (x: Double, y: Double) {
            (xScale.position(intensity), yScale.position(operations / giga))
        }
        let slope = [place(low, bandwidth * low), place(highest / bandwidth, highest)]
        drawing.path(slope, "curve base")
        lines += slope
        for (index, roof) in roofs.enumerated() {
            let level = [
                place(roof.operationsPerSecond / bandwidth, roof.operationsPerSecond),
                place(high, roof.operationsPerSecond),
            ]
            drawing.path(level, "curve base dash-\(index % 4)")
            drawing.text(
                "\(roof.name) \(Format.significant(roof.operationsPerSecond / giga)) G/s", x: right - 6,
                y: level[1].y - 5, "label", anchor: .end)
        }
        drawing.text(
            "memory \(Format.significant(bandwidth / giga)) GB/s", x: slope[0].x + 8,
            y: min(slope[0].y + 4, bottom - 8), "label")
        for point in shown {
            let (x, y) = place(point.intensity, point.operationsPerSecond)
            drawing.circle(x: x, y: y, radius: 4.5, "point", tip: tip(point))
        }
        return drawing.svg(id: title, title: title, description: description)
    }

    private func tip(_ point: Point) -> String {
        "\(point.name): \(Format.significant(point.operationsPerSecond / 1e9)) G operations a second at "
            + "\(Format.significant(point.intensity)) a byte"
    }

    private var description: String {
        let levels = roofs.map {
            "\($0.name) \(Format.significant($0.operationsPerSecond / 1e9)) G operations/s"
        }
        return "Memory \(Format.significant(bandwidth / 1e9)) GB/s; " + levels.joined(separator: ", ") + ". "
            + shown.map(tip).joined(separator: "; ") + "."
    }
}

extension RooflineChart: PageElement {
    public var html: String {
        let note =
            "Rising: what memory delivers. Level: what the arithmetic units do. Each point is a product; its name is under it."
        return Figure.html(svg: svg, title: title, note: shown.isEmpty ? nil : note)
    }
}
