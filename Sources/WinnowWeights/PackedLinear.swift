import CWinnow
import WinnowCore

extension OpContext {
    /// y = x W^T + bias (+ residual) through a frozen matrix in whatever format it has: nothing but its input
    /// gets a gradient. Float32 inputs; rows are multiplied out a few hundred at a time.
    ///
    /// - Parameter rows: those of the matrix that take part, and of the bias; nil: all.
    public func linear(
        _ x: Variable, _ matrix: WeightMatrix, bias: Variable? = nil, rows: Range<Int>? = nil,
        residual: Variable? = nil
    ) -> Variable {
        let rows = rows ?? 0..<matrix.rows
        let tokens = x.count / matrix.columns
        let outputs = rows.count
        precondition(x.count == tokens * matrix.columns, "x of \(x.shape) for \(matrix.columns) columns")
        let out = block(tokens * outputs)
        if let residual { out.base.update(from: residual.base, count: out.count) }
        matrix.forEachRun(of: rows, self) { weights, run in
            multiply(
                view(x.base, columns: matrix.columns), transposed(weights, columns: matrix.columns),
                rows: tokens,
                columns: run.count, depth: matrix.columns, into: out.base + run.lowerBound - rows.lowerBound,
                stride: outputs, adding: residual != nil)
        }
        if let bias { wn_add_bias(pool.pointer, bias.base + rows.lowerBound, out.base, tokens, outputs) }
        // The weights are frozen: the way back reads no input.
        let asking = [x.withoutValue] + (residual.map { [$0.withoutValue] } ?? [])
        return output(out, [tokens, outputs], from: asking) {
            PackedLinearPass(matrix: matrix, rows: rows)
        }
    }
}

private final class PackedLinearPass: BackwardPass {
    private let matrix: WeightMatrix
    private let rows: Range<Int>

    init(matrix: WeightMatrix, rows: Range<Int>) {
        self.matrix = matrix
        self.rows = rows
    }

    func backward(_ gradient: FloatBlock, to inputs: [Variable], _ context: OpContext) {
        inputs[0].addGradient(context) { into, adding in
            matrix.transposedProduct(
                gradient.base, tokens: gradient.count / rows.count, rows: rows, into: into, adding: adding,
                context)
        }
        if inputs.count > 1 { inputs[1].addGradient(gradient, context) }
    }
}

extension WeightMatrix {
    /// out[t] = sum_r x[t, r] W[r], or added to what is there: the way back through a packed matrix.
    ///
    /// - Parameter x: `[tokens, rows.count]`.
    /// - Parameter out: `[tokens, columns]`.
    package func transposedProduct(
        _ x: UnsafePointer<Float>, tokens: Int, rows: Range<Int>, into out: UnsafeMutablePointer<Float>,
        adding: Bool, _ context: OpContext
    ) {
        forEachRun(of: rows, context) { weights, run in
            context.multiply(
                wn_view(data: x + run.lowerBound - rows.lowerBound, row_stride: rows.count, column_stride: 1),
                view(weights, columns: columns), rows: tokens, columns: columns, depth: run.count, into: out,
                stride: columns, adding: adding || run.lowerBound > rows.lowerBound)
        }
    }

    /// Calls `body` with runs of rows multiplied out, in order.
    fileprivate func forEachRun(
        of rows: Range<Int>, _ context: OpContext, _ body: (UnsafePointer<Float>, Range<Int>) -> Void
    ) {
        let most = 256
        let weights = context.block(min(most, rows.count) * columns)
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: most) {
            let run = first..<min(first + most, rows.upperBound)
            wn_rows_f32(context.pool.pointer, descriptor, run.lowerBound, run.upperBound, weights.base)
            body(weights.base, run)
        }
    }
}
