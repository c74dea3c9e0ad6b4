import WinnowCore
import WinnowWeights

/// What training adds to a parameter: float32 masters, a gradient, and the mask that both are held to.
///
/// Its buffers are written by optimizers and mask updaters between steps, by backward passes within one;
/// tensors that ``variable`` gives view the masters, and are not kept from one step to the next.
public final class ParameterTraining {
    public let name: String
    public let shape: [Int]
    private let memory: Masters
    /// Kept weights; nil: all. Pruned weights are zero, and their gradients are zeroed before a step.
    public private(set) var mask: SparsityMask? { didSet { findColumns() } }
    /// The columns that the mask leaves, where they are a third at most: steps then leave the others out. Three linears
    /// that share an input hold no more of it so than the input itself.
    package private(set) var keptColumns: [Int32]?

    /// The buffers, kept alive by tensors that view them.
    fileprivate final class Masters: Sendable {
        nonisolated(unsafe) private var values: Buffer<Float>
        nonisolated(unsafe) private var gradients: Buffer<Float>
        let value: UInt
        let gradient: UInt

        init(count: Int) {
            values = Buffer(count: count)
            gradients = Buffer(count: count)
            value = values.withMutableElements { UInt(bitPattern: $0.baseAddress!) }
            gradient = gradients.withMutableElements { UInt(bitPattern: $0.baseAddress!) }
        }
    }

    /// A parameter that no module has: an adapter's.
    package init(name: String, shape: [Int], values: [Float], mask: SparsityMask?) {
        self.name = name
        self.shape = shape
        self.mask = mask
        memory = Masters(count: values.count)
        _ = self.values.update(fromContentsOf: values)
        findColumns()
    }

    public var count: Int { shape.reduce(1, *) }
    public var rows: Int { shape.count < 2 ? 1 : shape[0] }
    public var columns: Int { shape[shape.count - 1] }

    /// The float32 masters, for whoever takes steps.
    public var values: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: UnsafeMutablePointer(bitPattern: memory.value), count: count)
    }

    /// The gradient, added up by backward passes since ``clearGradient()``.
    public var gradients: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: UnsafeMutablePointer(bitPattern: memory.gradient), count: count)
    }

    public func clearGradient() { gradients.update(repeating: 0) }

    /// The parameter as ops read it in one step.
    package var variable: Variable {
        Variable(
            Tensor(viewing: values.baseAddress!, shape: shape, keeping: memory),
            gradient: gradients.baseAddress!)
    }

    private func findColumns() {
        let kept = mask?.keptColumns()
        keptColumns = kept.flatMap { $0.count * 3 <= columns ? $0 : nil }
    }

    /// Puts a mask in force: pruned weights become zero now, in the masters and in the gradient.
    public func setMask(_ new: SparsityMask?) {
        precondition(
            new.map { $0.rows == rows && $0.columns == columns } ?? true,
            "a mask of [\(new?.rows ?? 0), \(new?.columns ?? 0)] for \(name), \(shape)")
        mask = new
        applyMask()
    }

    /// Zeroes masters and gradients of pruned weights.
    public func applyMask() {
        guard let mask else { return }
        for row in 0..<rows {
            mask.zeroPruned(row: row, of: values.baseAddress! + row * columns)
            mask.zeroPruned(row: row, of: gradients.baseAddress! + row * columns)
        }
    }

    /// Pruned weights that are not exactly zero: 0, or something is wrong.
    public var strayedWeights: Int {
        guard let mask else { return 0 }
        var strayed = 0
        for row in 0..<rows {
            for column in 0..<columns where values[row * columns + column] != 0 && !mask[row, column] {
                strayed += 1
            }
        }
        return strayed
    }

    /// Weights that are exactly zero.
    public var zeros: Int {
        var zeros = 0
        for value in values where value == 0 { zeros += 1 }
        return zeros
    }

    /// A copy of the masters.
    public var tensor: Tensor {
        let bytes = UnsafeRawBufferPointer(values)
        let storage = Storage(byteCount: bytes.count) { $0.copyMemory(from: bytes) }
        return Tensor(dtype: .f32, shape: shape, bytes: StorageSlice(storage))
    }
}
