import CWinnow
import WinnowCore
import WinnowModels

/// What a method needs to know of a layer's inputs. A new reduction is a member here and a field of
/// ``ActivationStatistics``.
public struct StatisticsRequest: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The sum of squares of each input channel.
    public static let squares = StatisticsRequest(rawValue: 1)
}

/// Reductions over the tokens that passed a tap point, for all matrices that read it.
///
/// Sums are float64, tokens in order: the same bits for any number of threads and any step size.
public struct ActivationStatistics: Sendable {
    /// Tokens seen.
    public private(set) var count = 0
    /// For each channel j, sum over tokens of x_j^2; empty when not asked for.
    public private(set) var sumOfSquares: [Double]
    public let width: Int

    public init(width: Int, _ request: StatisticsRequest) {
        self.width = width
        sumOfSquares = request.contains(.squares) ? [Double](repeating: 0, count: width) : []
    }

    public mutating func add(_ values: TapValues, on pool: KernelPool) {
        precondition(values.width == width, "\(values.width) values for statistics of \(width)")
        count += values.tokens
        guard !sumOfSquares.isEmpty else { return }
        sumOfSquares.withUnsafeMutableBufferPointer {
            wn_add_squares(pool.pointer, values.base, values.stride, values.tokens, width, $0.baseAddress)
        }
    }

    /// ||X_j||_2 of each channel.
    public var columnNorms: [Float] { sumOfSquares.map { Float($0.squareRoot()) } }

    /// The first channel whose values were not all finite; nil when all were.
    public var firstNotFinite: Int? { sumOfSquares.firstIndex { !$0.isFinite } }

    /// Bytes that these statistics take.
    public static func byteCount(width: Int, _ request: StatisticsRequest) -> Int {
        request.contains(.squares) ? width * MemoryLayout<Double>.stride : 0
    }
}
