/// Where a curve bends: the break of the two joined line segments that fit it best.
///
/// y = a + b x + c max(0, x - break), least squares, over break points between the second and the last but one x.
///
/// - Source: an operational form of essential sparsity, arXiv 2306.03805, whose figures are read by eye.
public struct KneeFinder: Sendable {
    /// Steps of the search between the ends.
    public var steps = 400

    public init() {}

    public struct Knee: Sendable, Equatable {
        public var x: Double
        /// Slopes before and after.
        public var slopeBefore: Double
        public var slopeAfter: Double
        /// The root of the mean squared distance from the fit.
        public var residual: Double
    }

    /// - Parameter points: by rising x, five at least.
    /// - Returns: nil for fewer points, values that are not finite, or a curve that bends the other way.
    public func knee(of points: [(x: Double, y: Double)]) -> Knee? {
        guard points.count >= 5, points.allSatisfy({ $0.x.isFinite && $0.y.isFinite }) else { return nil }
        let (low, high) = (points[1].x, points[points.count - 2].x)
        guard high > low else { return nil }
        var best: Knee?
        for step in 0...steps {
            let x = low + (high - low) * Double(step) / Double(steps)
            guard let fit = KneeFinder.fit(points, break: x) else { continue }
            if best.map({ fit.residual < $0.residual }) ?? true { best = fit }
        }
        return best.flatMap { $0.slopeAfter > $0.slopeBefore ? $0 : nil }
    }

    private static func fit(_ points: [(x: Double, y: Double)], break place: Double) -> Knee? {
        // Normal equations of three unknowns.
        var m = [[Double]](repeating: [0, 0, 0, 0], count: 3)
        for point in points {
            let row = [1, point.x, max(0, point.x - place)]
            for i in 0..<3 {
                for j in 0..<3 { m[i][j] += row[i] * row[j] }
                m[i][3] += row[i] * point.y
            }
        }
        for column in 0..<3 {
            let pivot = (column..<3).max { abs(m[$0][column]) < abs(m[$1][column]) }!
            guard abs(m[pivot][column]) > 1e-12 else { return nil }
            m.swapAt(column, pivot)
            for row in 0..<3 where row != column {
                let factor = m[row][column] / m[column][column]
                for k in column..<4 { m[row][k] -= factor * m[column][k] }
            }
        }
        let (a, b, c) = (m[0][3] / m[0][0], m[1][3] / m[1][1], m[2][3] / m[2][2])
        var sum = 0.0
        for point in points {
            let error = point.y - (a + b * point.x + c * max(0, point.x - place))
            sum += error * error
        }
        return Knee(
            x: place, slopeBefore: b, slopeAfter: b + c, residual: (sum / Double(points.count)).squareRoot())
    }
}
