import CWinnow
import WinnowCore
import WinnowWeights

/// SM3-II: a matrix's second moments are bounded by one number a row and one a column.
///
/// nu[i, j] = min(row[i], column[j]) + g^2; value -= rate g / sqrt(nu); rows and columns take the largest nu.
/// A vector has a number an element.
///
/// - Source: arXiv 1901.11150, algorithm SM3-II.
/// - Departure: epsilon under the root is 0 by default, as in the paper; a nu of 0 is no step.
public struct SM3: ParameterOptimizer, Equatable {
    /// 0 needs no state a weight.
    public var momentum = 0.0
    public var epsilon = 0.0
    public var weightDecay = 0.0

    public init(momentum: Double = 0, epsilon: Double = 0, weightDecay: Double = 0) {
        self.momentum = momentum
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    /// - Parameter layout: without meaning here: the state is factored.
    public func makeState(rows: Int, columns: Int, mask: SparsityMask?, layout: StateLayout) -> OptimizerState
    {
        let covers = rows == 1 ? [("second", columns)] : [("rows", rows), ("columns", columns)]
        return OptimizerState(
            rows: rows, columns: columns, vectors: covers + (momentum == 0 ? [] : [("first", rows * columns)])
        )
    }

    func constants(rate: Double, scale: Float, decays: Bool) -> wn_sm3 {
        wn_sm3(
            scale: scale, momentum: Float(momentum), rest: Float(1 - momentum), epsilon: Float(epsilon),
            rate: Float(rate), keep: Float(1 - (decays ? rate * weightDecay : 0)))
    }

    public func step(
        _ slot: ParameterSlot, state: OptimizerState, rate: Double, scale: Float = 1, decays: Bool = true,
        pool: KernelPool
    ) {
        state.steps += 1
        let constants = constants(rate: rate, scale: scale, decays: decays)
        let columns = slot.columns, first = state["first"]?.base
        if let second = state["second"]?.base {
            _ = withUnsafePointer(to: constants) {
                // No row bounds an element of a vector.
                wn_sm3_pass(
                    slot.values, slot.gradients, first, .infinity, second, second, slot.mask?.row(0), columns,
                    $0)
            }
            return
        }
        let rowBounds = state["rows"]!.base, columnBounds = state["columns"]!.base
        // A largest number is the same in any order: each worker finds its own.
        let largest = StateVector(count: columns * pool.threads)
        let rowsAtOnce = max(1, TileGrid.chunkElements / columns)
        pool.run(chunks: (slot.rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, worker in
            for row in chunk * rowsAtOnce..<min(slot.rows, (chunk + 1) * rowsAtOnce) {
                let start = row * columns
                let most = withUnsafePointer(to: constants) {
                    wn_sm3_pass(
                        slot.values + start, slot.gradients + start, first.map { $0 + start }, rowBounds[row],
                        columnBounds, largest.base + worker * columns, slot.mask?.row(row), columns, $0)
                }
                if !(most <= rowBounds[row]) { rowBounds[row] = most }
            }
        }
        for worker in 0..<pool.threads {
            for column in 0..<columns {
                columnBounds[column] = max(columnBounds[column], largest.base[worker * columns + column])
            }
        }
    }
}
