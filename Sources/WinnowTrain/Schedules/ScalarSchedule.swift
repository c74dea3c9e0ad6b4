#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A number that changes with the step: a learning rate, a sparsity, a weight of a loss, a share to drop.
///
/// Steps count from 0. A curve that gives no `end` ends with the run.
public indirect enum ScalarSchedule: Sendable, Equatable {
    case constant(Double)
    /// Moves from `from` to `to` between two steps; `from` before, `to` after.
    case curve(Curve, from: Double, to: Double, begin: Int, end: Int?)
    /// Rises in a line from 0 to what `then` is, over so many steps: step 0 has 0, as in Hugging Face's
    /// schedules.
    case warmup(steps: Int, then: ScalarSchedule)
    /// Holds `from`, then falls to `to` along a curve over the last `decay` steps of the run.
    case stableDecay(from: Double, to: Double, decay: Int, curve: Curve)
    /// Each piece holds from its `begin` on; the first begins at 0. A piece's own steps count from the run's
    /// start.
    case piecewise([Piece])
    /// Goes from `from` to `to` and, for triangles and cosines, back, once in `period` steps.
    case cyclic(Wave, from: Double, to: Double, period: Int)

    public enum Curve: Sendable, Equatable {
        case linear
        /// Half a period of a cosine.
        case cosine
        /// to + (from - to)(1 - p)^power with p from 0 to 1: power 3 is the cubic of gradual magnitude
        /// pruning.
        ///
        /// - Source: arXiv 1710.01878, equation 1.
        case polynomial(power: Double)
    }

    public enum Wave: String, Sendable, Equatable, CaseIterable, Codable {
        case triangle, cosine
        /// Up in a line, back at once.
        case sawtooth
    }

    public struct Piece: Sendable, Equatable {
        public var begin: Int
        public var schedule: ScalarSchedule

        public init(begin: Int, schedule: ScalarSchedule) {
            self.begin = begin
            self.schedule = schedule
        }
    }

    /// The cubic from `from` to `to` of gradual magnitude pruning.
    public static func cubic(from: Double, to: Double, begin: Int, end: Int?) -> ScalarSchedule {
        .curve(.polynomial(power: 3), from: from, to: to, begin: begin, end: end)
    }

    /// The value at a step of a run.
    ///
    /// - Parameter total: steps of the run, for what ends with it.
    public func value(at step: Int, of total: Int) -> Double {
        switch self {
        case .constant(let value): return value
        case .curve(let curve, let from, let to, let begin, let end):
            return curve.value(from: from, to: to, share: Self.share(step, begin, end ?? total))
        case .warmup(let steps, let schedule):
            let value = schedule.value(at: step, of: total)
            return step < steps ? value * Double(max(step, 0)) / Double(steps) : value
        case .stableDecay(let from, let to, let decay, let curve):
            return curve.value(from: from, to: to, share: Self.share(step, max(total - decay, 0), total))
        case .piecewise(let pieces):
            let piece = pieces.last { $0.begin <= step } ?? pieces[0]
            return piece.schedule.value(at: step, of: total)
        case .cyclic(let wave, let from, let to, let period):
            let place = Double(((step % period) + period) % period) / Double(period)
            return from + (to - from) * wave.height(place)
        }
    }

    /// How far a step is from `begin` to `end`, 0 to 1; a step on an empty way is behind it.
    private static func share(_ step: Int, _ begin: Int, _ end: Int) -> Double {
        if step >= end { return 1 }
        return step <= begin ? 0 : Double(step - begin) / Double(end - begin)
    }
}

extension ScalarSchedule.Curve {
    fileprivate func value(from: Double, to: Double, share: Double) -> Double {
        // The ends are exact.
        if share <= 0 { return from }
        if share >= 1 { return to }
        switch self {
        case .linear: return from + (to - from) * share
        case .cosine: return to + (from - to) * (1 + cos(.pi * share)) / 2
        case .polynomial(let power): return to + (from - to) * pow(1 - share, power)
        }
    }
}

extension ScalarSchedule.Wave {
    /// 0 to 1 for a place in the period, 0 ..< 1.
    fileprivate func height(_ place: Double) -> Double {
        switch self {
        case .triangle: place < 0.5 ? 2 * place : 2 - 2 * place
        case .cosine: (1 - cos(2 * .pi * place)) / 2
        case .sawtooth: place
        }
    }
}
