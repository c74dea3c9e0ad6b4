import WinnowCore
import WinnowTrain
import WinnowWeights

/// A parameter in a test: values that an optimizer moves by gradients that the test gives.
struct TrainedParameter {
    let rows: Int
    let columns: Int
    var values: [Float]
    var mask: SparsityMask?
    var state: OptimizerState

    init(
        rows: Int, columns: Int, values: [Float], mask: SparsityMask? = nil,
        optimizer: any ParameterOptimizer, layout: StateLayout = .dense
    ) {
        self.rows = rows
        self.columns = columns
        self.values = values
        self.mask = mask
        state = optimizer.makeState(rows: rows, columns: columns, mask: mask, layout: layout)
        if let mask {
            for row in 0..<rows {
                for column in 0..<columns where !mask[row, column] { self.values[row * columns + column] = 0 }
            }
        }
    }

    mutating func step(
        _ optimizer: any ParameterOptimizer, gradients: [Float], rate: Double, scale: Float = 1,
        decays: Bool = true,
        pool: KernelPool
    ) {
        var gradients = gradients
        values.withUnsafeMutableBufferPointer { values in
            gradients.withUnsafeMutableBufferPointer { gradients in
                optimizer.step(
                    ParameterSlot(
                        values: values, gradients: gradients, rows: rows, columns: columns, mask: mask),
                    state: state, rate: rate, scale: scale, decays: decays, pool: pool)
            }
        }
    }

    /// Random numbers around zero.
    static func numbers(_ count: Int, seed: UInt64, size: Float = 1) -> [Float] {
        var random = Random(seed: seed)
        return (0..<count).map { _ in random.normal() * size }
    }

    static func mask(rows: Int, columns: Int, keeping share: Float, seed: UInt64) -> SparsityMask {
        var random = Random(seed: seed)
        let dice = (0..<rows * columns).map { _ in random.uniform() }
        return SparsityMask(rows: rows, columns: columns) { dice[$0 * columns + $1] < share }
    }
}
