import WinnowCore

/// What a product out = W x over some tokens moves and computes, counted, not measured.
public struct ProductCost: Sendable, Equatable {
    /// Weights as stored with their masks and scales, read once, and inputs and outputs in float32.
    public var bytes: Double
    /// Multiplications and additions. Pruned weights count: kernels expand a mask and multiply all columns.
    public var operations: Double
    /// The arithmetic that they are done in.
    public var arithmetic: ArithmeticPeak

    public init(bytes: Double, operations: Double, arithmetic: ArithmeticPeak) {
        self.bytes = bytes
        self.operations = operations
        self.arithmetic = arithmetic
    }

    /// Operations a byte.
    public var intensity: Double { bytes > 0 ? operations / bytes : 0 }

    /// - Parameter rows: those of the matrix that run; nil: all.
    /// - Parameter mode: integer inputs of two planes multiply each weight twice.
    public init(_ matrix: WeightMatrix, tokens: Int, mode: ActivationMode, rows: Int? = nil) {
        let rows = rows ?? matrix.rows
        let kind = matrix.inputKind(mode)
        let weights = Double(matrix.byteCount) * Double(rows) / Double(matrix.rows)
        bytes = weights + 4 * Double(tokens) * Double(matrix.columns + rows)
        operations =
            Double(kind == .planes16 ? 4 : 2) * Double(rows) * Double(matrix.columns) * Double(tokens)
        arithmetic =
            switch kind {
            case .f32: .f32
            case .bf16: tokens < 16 || ProductPrecision.bfloat16Kernels == .rounded ? .f32 : .bf16
            case .block8, .planes16, .token8: .int8
            }
    }
}
