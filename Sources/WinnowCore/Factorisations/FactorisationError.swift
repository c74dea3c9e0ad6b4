/// Why a matrix has no factor.
public enum FactorisationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// - Parameter pivot: the row at which the matrix stops being positive definite.
    /// - Parameter value: what stood there, to be positive.
    case notPositiveDefinite(pivot: Int, value: Double)

    public var description: String {
        switch self {
        case .notPositiveDefinite(let pivot, let value):
            "the matrix is not positive definite: pivot \(pivot) is \(value)"
        }
    }
}
