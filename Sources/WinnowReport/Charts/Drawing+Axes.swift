extension Drawing {
    /// Both axes of a plot: grid lines and ticks, the line at its foot, titles that say where a scale is logarithmic.
    ///
    /// - Parameter plot: the places of the plot's sides.
    mutating func axes(
        x: AxisScale, _ xTitle: String, y: AxisScale, _ yTitle: String,
        plot: (left: Double, right: Double, top: Double, bottom: Double)
    ) {
        func title(_ text: String, _ scale: AxisScale) -> String {
            text + (scale.isLogarithmic ? " · logarithmic" : "")
        }
        for tick in y.ticks {
            let place = y.position(tick)
            line(plot.left, place, plot.right, place, "gridline")
            text(y.label(tick), x: plot.left - 8, y: place + 4.5, "tick", anchor: .end)
        }
        for tick in x.ticks {
            let place = x.position(tick)
            line(place, plot.bottom, place, plot.bottom + 5, "axis")
            text(x.label(tick), x: place, y: plot.bottom + 20, "tick", anchor: .middle)
        }
        line(plot.left, plot.bottom, plot.right, plot.bottom, "axis")
        text(
            title(xTitle, x), x: (plot.left + plot.right) / 2, y: height - 10, "axis-title", anchor: .middle)
        text(
            title(yTitle, y), x: 15, y: (plot.top + plot.bottom) / 2, "axis-title", anchor: .middle, turned: true)
    }
}
