import CWinnow
import WinnowCore

/// A list of products that run as one pool job over chunks of rows: q, k and v; gate and up; experts.
///
/// Built when a model is bound; each step only sets the input's tokens.
package struct ProductGroup {
    package enum Epilogue: Int32 {
        case store = 0
        /// Adds to what stands in the output: the residual.
        case add = 1
        /// silu(gate x) * (up x).
        case gatedSiLU = 2
        /// gelu(gate x) * (up x), GELU in its tanh form.
        case gatedGELU = 3
        case gelu = 4
        case relu = 5
        /// The same two with GELU in its exact form.
        case gatedExactGELU = 6
        case exactGELU = 7
    }

    private var products: [wn_product] = []
    /// Descriptors point into the matrices; the group keeps them alive.
    private var matrices: [WeightMatrix] = []
    private var biases: [Storage] = []

    package init() {}

    /// Adds out[t, r] = epilogue(W x[t] + bias), rows of the output `stride` floats apart.
    ///
    /// - Parameter bias: a float for each row of the matrix.
    /// - Parameter rows: those to run; the first makes the first float of the output. The same of the gate.
    package mutating func add(
        _ matrix: WeightMatrix, input: PreparedInput, output: UnsafeMutablePointer<Float>, stride: Int,
        epilogue: Epilogue = .store, gate: (matrix: WeightMatrix, input: PreparedInput)? = nil,
        bias: Storage? = nil, rows: Range<Int>? = nil
    ) {
        precondition(
            input.columns == matrix.columns, "input of \(input.columns) for \(matrix.columns) columns")
        let rows = rows ?? 0..<matrix.rows
        products.append(
            wn_product(
                matrix: matrix.descriptor, gate: gate?.matrix.descriptor, input: input.pointer,
                gate_input: gate?.input.pointer,
                bias: bias?.base.assumingMemoryBound(to: Float.self), row_begin: rows.lowerBound,
                row_end: rows.upperBound, out: output, out_stride: stride, epilogue: epilogue.rawValue))
        matrices.append(matrix)
        if let gate { matrices.append(gate.matrix) }
        if let bias { biases.append(bias) }
    }

    package func run(on pool: KernelPool) {
        products.withUnsafeBufferPointer { wn_products(pool.pointer, $0.baseAddress, $0.count) }
    }

    var count: Int { products.count }

    func forEach(_ body: (Int, wn_product) -> Void) {
        for index in products.indices { body(index, products[index]) }
    }

    /// Scratch that a worker needs for the widest matrix.
    package var scratchBytes: Int { matrices.map { wn_product_scratch($0.columns) }.max() ?? 0 }
}
