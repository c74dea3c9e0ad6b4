import CWinnow
import WinnowCore

/// The length of all gradients together, and of each parameter's.
///
/// Squares are summed in float64 over blocks of 4096 within rows; blocks are added in order, then parameters
/// in order: the same bits for any number of threads. Gradients of pruned weights do not count.
public struct GradientNorm: Sendable, Equatable {
    /// The sum of squares of each parameter, in the order given.
    public let squares: [Double]

    public init(_ slots: [ParameterSlot], pool: KernelPool) {
        squares = slots.map { GradientNorm.squares($0, pool) }
    }

    public var total: Double {
        var sum = 0.0
        for value in squares { sum += value }
        return sum.squareRoot()
    }

    /// The first parameter whose gradient has a NaN or an infinity.
    public var firstNotFinite: Int? { squares.firstIndex { !$0.isFinite } }

    /// What gradients are multiplied by so that their length is at most `limit`: min(1, limit / (length +
    /// 1e-6)).
    ///
    /// - Parameter scale: what they are multiplied by anyway (accumulation), which is part of the result.
    public func scale(limit: Double?, scale: Double = 1) -> Float {
        guard let limit else { return Float(scale) }
        return Float(scale * min(1, limit / (total * scale + 1e-6)))
    }

    private static func squares(_ slot: ParameterSlot, _ pool: KernelPool) -> Double {
        let block = 4096
        let rows = slot.mask == nil ? 1 : slot.rows, columns = slot.count / rows
        let perRow = (columns + block - 1) / block
        return sumOverRows(rows * perRow, min(columns, block), pool) { index in
            let row = index / perRow, column = index % perRow * block
            return wn_sum_squares(
                slot.gradients + row * columns + column, slot.mask.map { $0.row(row) + column / 8 },
                min(block, columns - column))
        }
    }
}
