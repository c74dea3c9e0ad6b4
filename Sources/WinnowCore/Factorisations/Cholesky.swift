import CWinnow

/// The Cholesky factor of a symmetric positive definite matrix, in place and in float64.
public enum Cholesky {
    /// Replaces `matrix`, of which the lower triangle is read, by the lower L with matrix = L L^T.
    ///
    /// - Parameter matrix: `[order, order]`, row-major; its upper triangle becomes zero.
    /// - Throws: ``FactorisationError/notPositiveDefinite(pivot:value:)``, the matrix spoilt.
    /// - Complexity: O(order^3 / 3), on the pool; the same bits for any number of threads.
    public static func factor(
        _ matrix: inout Buffer<Double>, order: Int, on pool: KernelPool
    ) throws(FactorisationError) {
        precondition(matrix.count == order * order, "\(matrix.count) values for [\(order), \(order)]")
        var pivot = 0
        var value = 0.0
        guard wn_cholesky(pool.pointer, matrix.base, order, &pivot, &value) else {
            throw .notPositiveDefinite(pivot: pivot, value: value)
        }
    }

    /// Replaces a lower triangle by its inverse.
    ///
    /// - Parameter lower: `[order, order]`, its upper triangle zero, its diagonal not.
    public static func invert(lower: inout Buffer<Double>, order: Int, on pool: KernelPool) {
        precondition(lower.count == order * order, "\(lower.count) values for [\(order), \(order)]")
        let scratch = Buffer<Double>(count: scratchCount(order: order))
        wn_invert_lower(pool.pointer, lower.base, order, scratch.base)
    }

    /// Values that ``invert(lower:order:on:)`` needs beside the matrix.
    package static func scratchCount(order: Int) -> Int { 64 * order }
}
