import CWinnow

/// The upper U with (H + damping)^-1 = U^T U, of a symmetric H: what solvers that take columns in order read.
///
/// U[j, j]^2 is the first element of the inverse of H's rows and columns from j on.
public final class InverseFactor {
    public let order: Int
    /// The share of the mean diagonal that was added; more than was asked when that was not enough.
    public let damping: Double
    /// Rows of H that were zero: inputs that never spoke.
    public let dead: [Int]
    private let elements: Buffer<Double>

    /// Takes over H's values, of which the lower triangle is read.
    ///
    /// H = V V^T with an upper V is a Cholesky factor with rows and columns in reverse order, and U = V^-1: one factor
    /// and one inverse of a triangle, where code that inverts H first takes two factors and two inverses.
    ///
    /// - Throws: ``FactorisationError``, its pivot counted in H's own order.
    init(
        consuming elements: consuming Buffer<Double>, order: Int, damping: Double, dead: [Int],
        on pool: KernelPool
    ) throws(FactorisationError) {
        var matrix = elements
        wn_mirror_lower(matrix.base, order)
        wn_reverse_f64(matrix.base, order * order)
        do {
            try Cholesky.factor(&matrix, order: order, on: pool)
        } catch {
            switch error {
            case .notPositiveDefinite(let pivot, let value):
                throw .notPositiveDefinite(pivot: order - 1 - pivot, value: value)
            }
        }
        Cholesky.invert(lower: &matrix, order: order, on: pool)
        wn_reverse_f64(matrix.base, order * order)
        self.order = order
        self.damping = damping
        self.dead = dead
        self.elements = matrix
    }

    public subscript(row: Int, column: Int) -> Double {
        precondition(
            row >= 0 && row < order && column >= 0 && column < order, "[\(row), \(column)] of \(order)")
        return elements.base[row * order + column]
    }

    public var diagonal: [Double] { (0..<order).map { elements.base[$0 * order + $0] } }

    /// `[order, order]`, row-major; lives as long as this object.
    package var base: UnsafePointer<Double> { UnsafePointer(elements.base) }

    /// Bytes that a factor takes while it is made.
    package static func byteCount(order: Int) -> Int {
        (order * order + Cholesky.scratchCount(order: order)) * MemoryLayout<Double>.stride
    }
}
