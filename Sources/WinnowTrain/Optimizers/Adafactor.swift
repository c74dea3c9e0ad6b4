import CWinnow
import WinnowCore
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Adafactor without a first moment: the second moment of a matrix is a product of a row and a column.
///
/// Three passes over the gradients, for the sums over rows and columns and for the size of the update; rows +
/// columns numbers of state. Pruned weights count as weights whose gradient is zero.
///
/// - Source: arXiv 1804.04235, algorithms 4 and 5; agrees with transformers.Adafactor.
public struct Adafactor: ParameterOptimizer, Equatable {
    /// Added to squares, and the least size of a parameter that scales the rate.
    public var epsilon = (1e-30, 1e-3)
    public var clipThreshold = 1.0
    /// beta2 = 1 - step^decayRate
    public var decayRate = -0.8
    public var weightDecay = 0.0
    /// Whether the rate is a share of the parameter's root mean square.
    public var scalesByParameter = true
    /// Whether the rate is min(1e-2, 1 / sqrt(step)) instead of the one given.
    public var relativeStep = false

    public init() {}

    public static func == (left: Adafactor, right: Adafactor) -> Bool {
        left.epsilon == right.epsilon && left.clipThreshold == right.clipThreshold
            && left.decayRate == right.decayRate && left.weightDecay == right.weightDecay
            && left.scalesByParameter == right.scalesByParameter && left.relativeStep == right.relativeStep
    }

    /// - Parameter layout: without meaning here: the state is factored.
    public func makeState(rows: Int, columns: Int, mask: SparsityMask?, layout: StateLayout) -> OptimizerState
    {
        OptimizerState(
            rows: rows, columns: columns,
            vectors: rows == 1 ? [("second", columns)] : [("rows", rows), ("columns", columns)])
    }

    public func step(
        _ slot: ParameterSlot, state: OptimizerState, rate: Double, scale: Float = 1, decays: Bool = true,
        pool: KernelPool
    ) {
        state.steps += 1
        let rows = slot.rows, columns = slot.columns, count = Double(slot.count)
        if let mask = slot.mask {
            forEachRow(rows, columns, pool) { wn_keep(slot.gradients + $0 * columns, mask.row($0), columns) }
        }
        let beta = Float(1 - pow(Double(state.steps), decayRate))
        let factors = StateVector(count: columns)
        var rowFactors = [Float](repeating: 1, count: rows)
        if rows == 1 {
            updateVector(slot, state["second"]!, beta: beta, scale: scale, factors: factors)
        } else {
            updateMatrix(
                slot, rowMoments: state["rows"]!, columnMoments: state["columns"]!, beta: beta, scale: scale,
                factors: factors, rowFactors: &rowFactors, pool: pool)
        }
        let updateSquares = sumOverRows(rows, columns, pool) { [rowFactors] row in
            wn_factored_squares(
                slot.gradients + row * columns, factors.base, rowFactors[row], slot.mask?.row(row), scale,
                columns)
        }
        var own = relativeStep ? min(1e-2, 1 / Double(state.steps).squareRoot()) : rate
        if scalesByParameter {
            let squares = sumOverRows(rows, columns, pool) {
                wn_sum_squares(slot.values + $0 * columns, nil, columns)
            }
            own *= max(epsilon.1, (squares / count).squareRoot())
        }
        let clipped = own / max(1, (updateSquares / count).squareRoot() / clipThreshold)
        let keep = Float(1 - (decays ? weightDecay * own : 0))
        forEachRow(rows, columns, pool) { [rowFactors] row in
            wn_factored_pass(
                slot.values + row * columns, slot.gradients + row * columns, factors.base, rowFactors[row],
                slot.mask?.row(row), scale, keep, Float(clipped), columns)
        }
    }

    private func updateVector(
        _ slot: ParameterSlot, _ moments: StateVector, beta: Float, scale: Float, factors: StateVector
    ) {
        for i in 0..<slot.columns {
            let gradient = slot.gradients[i] * scale
            let second = moments.base[i] * beta + (gradient * gradient + Float(epsilon.0)) * (1 - beta)
            moments.base[i] = second
            factors.base[i] = 1 / second.squareRoot()
        }
    }

    private func updateMatrix(
        _ slot: ParameterSlot, rowMoments: StateVector, columnMoments: StateVector, beta: Float, scale: Float,
        factors: StateVector, rowFactors: inout [Float], pool: KernelPool
    ) {
        let rows = slot.rows, columns = slot.columns
        let scale2 = Double(scale) * Double(scale), rest = Double(1 - beta)
        var columnSquares = [Double](repeating: 0, count: columns)
        wn_add_squares(pool.pointer, slot.gradients, columns, rows, columns, &columnSquares)
        for column in 0..<columns {
            let mean = columnSquares[column] * scale2 / Double(rows) + epsilon.0
            let moment = Double(columnMoments.base[column] * beta) + mean * rest
            columnMoments.base[column] = Float(moment)
            factors.base[column] = Float(1 / moment.squareRoot())
        }
        forEachRow(rows, columns, pool) { row in
            let mean = wn_sum_squares(slot.gradients + row * columns, nil, columns) * scale2 / Double(columns)
            rowMoments.base[row] = Float(Double(rowMoments.base[row] * beta) + (mean + epsilon.0) * rest)
        }
        var sum = 0.0
        for row in 0..<rows { sum += Double(rowMoments.base[row]) }
        let mean = sum / Double(rows)
        for row in 0..<rows {
            rowFactors[row] = Float(1 / (Double(rowMoments.base[row]) / mean).squareRoot())
        }
    }
}

/// Calls `body` for each row, spread over the pool.
func forEachRow(_ rows: Int, _ columns: Int, _ pool: KernelPool, _ body: (Int) -> Void) {
    let rowsAtOnce = max(1, TileGrid.chunkElements / columns)
    pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
        for row in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) { body(row) }
    }
}

/// The sum of a number per row, added in the order of rows.
func sumOverRows(_ rows: Int, _ columns: Int, _ pool: KernelPool, _ body: (Int) -> Double) -> Double {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: rows) { sums in
        forEachRow(rows, columns, pool) { sums[$0] = body($0) }
        var sum = 0.0
        for row in 0..<rows { sum += sums[row] }
        return sum
    }
}
