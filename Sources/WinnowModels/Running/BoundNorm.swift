import CWinnow
import WinnowCore
import WinnowWeights

/// A norm's weights as float32, held while they are pointed at.
struct BoundNorm {
    private let weights: Storage
    /// nil: an RMS norm.
    private let biases: Storage?
    private let epsilon: Float
    /// Values that are normalised together.
    let count: Int

    init(_ norm: Norm) {
        weights = Storage(copying: (norm.weight.vector.floats() ?? []).map { $0 + norm.offset })
        let none = norm.isLayerNorm ? [Float](repeating: 0, count: norm.weight.vector.count) : nil
        biases = (norm.bias?.vector.floats() ?? none).map { Storage(copying: $0) }
        epsilon = norm.epsilon
        count = norm.weight.vector.count
    }

    /// Normalises rows of `columns` floats that stand without gaps; `out` may be `x`.
    func apply(
        _ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, rows: Int, columns: Int
    ) {
        let weight = weights.base.assumingMemoryBound(to: Float.self)
        if let biases {
            let bias = biases.base.assumingMemoryBound(to: Float.self)
            wn_layer_norm(x, columns, weight, bias, epsilon, out, columns, rows, columns)
        } else {
            wn_rms_norm(x, columns, weight, epsilon, out, columns, rows, columns)
        }
    }

    /// Fills inputs from normalised rows: in one step for an RMS norm, through `place` for a layer norm.
    ///
    /// - Parameter place: room for the rows, left alone until the products have run.
    func fill(
        _ inputs: [PreparedInput], _ x: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
        place: UnsafeMutablePointer<Float>, on pool: KernelPool
    ) {
        if biases != nil {
            pool.inRows(rows) { range in
                apply(
                    x + range.lowerBound * columns, into: place + range.lowerBound * columns,
                    rows: range.count,
                    columns: columns)
            }
            for input in inputs { input.fill(place, stride: columns, tokens: rows, on: pool) }
        } else {
            let weight = weights.base.assumingMemoryBound(to: Float.self)
            for input in inputs {
                input.fill(x, stride: columns, tokens: rows, norm: (weight, epsilon), on: pool)
            }
        }
    }
}

extension KernelPool {
    /// Calls `body` with runs of 32 rows on the pool; a few rows cost less than waking anybody.
    func inRows(_ rows: Int, _ body: (Range<Int>) -> Void) {
        guard rows > 8 else { return body(0..<rows) }
        run(chunks: (rows + 31) / 32) { chunk, _ in body(chunk * 32..<min(chunk * 32 + 32, rows)) }
    }
}
