#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The best that quantization alone reaches at each cost: the rival of every sparse model.
///
/// Log perplexity is drawn straight between neighbouring points that no other beats; a cost below the smallest of
/// them has no rival, one above the largest has the largest's.
public struct QuantizedFrontier: Sendable, Equatable {
    public struct Point: Sendable, Equatable {
        /// Smaller is better: bytes, or seconds a token.
        public var cost: Double
        public var perplexity: Double

        public init(cost: Double, perplexity: Double) {
            self.cost = cost
            self.perplexity = perplexity
        }
    }

    /// By rising cost and falling perplexity.
    public let points: [Point]

    /// - Parameter points: any; those that another beats in both figures are left out, and those that are not numbers.
    public init(_ points: [Point]) {
        var best = Double.infinity
        var kept: [Point] = []
        let numbers = points.filter { $0.cost.isFinite && $0.perplexity.isFinite && $0.perplexity > 0 }
        for point in numbers.sorted(by: { ($0.cost, $0.perplexity) < ($1.cost, $1.perplexity) })
        where point.perplexity < best {
            best = point.perplexity
            kept.append(point)
        }
        self.points = kept
    }

    /// The perplexity of the curve at a cost; nil below its smallest.
    public func perplexity(at cost: Double) -> Double? {
        guard let first = points.first, cost >= first.cost else { return nil }
        guard let next = points.firstIndex(where: { $0.cost > cost }) else { return points.last?.perplexity }
        let (low, high) = (points[next - 1], points[next])
        let share = (cost - low.cost) / (high.cost - low.cost)
        return exp(log(low.perplexity) * (1 - share) + log(high.perplexity) * share)
    }

    /// A model's perplexity over the curve's at the same cost: under 1, it lies below. nil where the curve has no
    /// model as small.
    public func ratio(_ point: Point) -> Double? {
        perplexity(at: point.cost).map { point.perplexity / $0 }
    }
}
