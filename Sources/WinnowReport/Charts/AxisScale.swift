import Glibc

/// Maps values to pixels along one axis, with ticks at round numbers.
///
/// Values that span more than a factor of eight stand on a logarithmic axis: one broken model does not press all
/// others into a line.
struct AxisScale: Sendable, Equatable {
    let isLogarithmic: Bool
    /// The values at the two ends; lower < upper always.
    let lower: Double
    let upper: Double
    let ticks: [Double]
    private let start: Double
    private let end: Double

    /// - Parameter values: what must fit; those that cannot be shown do not count. None gives 0 to 1.
    /// - Parameter start: pixel of the lower end, `end`: of the upper one; `end` may be smaller.
    /// - Parameter tickCount: about how many ticks.
    /// - Parameter includesZero: for bars, whose length is their value.
    init(
        _ values: [Double], from start: Double, to end: Double, tickCount: Int = 5, includesZero: Bool = false
    ) {
        let finite = values.filter(AxisScale.shows)
        var low = finite.min() ?? 0
        var high = finite.max() ?? 1
        if includesZero {
            low = min(low, 0)
            high = max(high, 0)
        }
        self.start = start
        self.end = end
        isLogarithmic = !includesZero && low > 0 && high / low > 8
        if isLogarithmic {
            lower = low / 1.15
            upper = high * 1.15
            ticks = AxisScale.logarithmicTicks(lower, upper, tickCount)
        } else {
            if low == high {
                // One value, or equal ones: they stand in the middle.
                let margin = low == 0 ? 1 : abs(low) * 0.5
                if !includesZero || low == 0 { low -= margin }
                high += margin
                if includesZero { low = 0 }
            } else if !includesZero {
                let margin = (high - low) * 0.08
                low -= margin
                high += margin
            }
            lower = low
            upper = high
            ticks = AxisScale.linearTicks(low, high, tickCount)
        }
    }

    /// Whether a chart can place a value: finite, and no larger than any measured figure is.
    static func shows(_ value: Double) -> Bool { value.isFinite && abs(value) < 1e15 }

    /// The pixel of a value.
    func position(_ value: Double) -> Double {
        let share =
            isLogarithmic
            ? log(max(value, lower) / lower) / log(upper / lower) : (value - lower) / (upper - lower)
        return start + share * (end - start)
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    private static func linearTicks(_ low: Double, _ high: Double, _ count: Int) -> [Double] {
        let rough = (high - low) / Double(max(count, 1))
        let power = pow(10, floor(log10(rough)))
        let step = power * ([1, 2, 5].first { $0 * power >= rough * 0.999 } ?? 10)
        guard step > 0, step.isFinite else { return [] }
        let first = (low / step).rounded(.up)
        // The bound holds for values so large that steps are lost in rounding.
        return (0..<count * 3).map { (first + Double($0)) * step }.filter { $0 <= high + step * 1e-9 }
    }

    /// 1, 2 and 5 times powers of ten, or powers alone when there are too many.
    private static func logarithmicTicks(_ low: Double, _ high: Double, _ count: Int) -> [Double] {
        let powers = Int(floor(log10(low)))...Int(ceil(log10(high)))
        for factors in [[1.0, 2, 5], [1, 3], [1]] {
            let ticks = powers.flatMap { power in factors.map { $0 * pow(10, Double(power)) } }
                .filter { $0 >= low && $0 <= high }
            if ticks.count <= count + 2 || factors.count == 1 {
                // Many decades: every so many.
                let stride = (ticks.count + count) / (count + 1)
                return ticks.enumerated().filter { $0.offset % max(stride, 1) == 0 }.map(\.element)
            }
        }
        return []
    }

    /// A tick's label, with no more decimals than the ticks need.
    func label(_ tick: Double) -> String {
        if isLogarithmic { return Format.significant(tick, tick >= 100 ? 3 : 2).trimmingDecimals }
        let step = ticks.count > 1 ? ticks[1] - ticks[0] : abs(tick)
        let decimals = step > 0 ? min(max(0, Int(ceil(-log10(step) - 1e-9))), 6) : 0
        let text = Format.fixed(tick, decimals)
        return decimals == 0 ? (Int(exactly: tick.rounded()).map(Format.count) ?? text) : text
    }
}

extension String {
    /// Without zeros at the end of a decimal fraction: 2.0 is 2.
    var trimmingDecimals: String {
        guard contains("."), !contains("e") else { return self }
        var text = self
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return text
    }
}
