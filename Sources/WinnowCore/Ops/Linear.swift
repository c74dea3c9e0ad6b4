import CWinnow

extension OpContext {
    /// y = x W^T + bias (+ residual).
    ///
    /// - Parameter x: `[tokens, inputs]`.
    /// - Parameter weight: `[outputs, inputs]`.
    /// - Parameter rows: those of the weight that take part, and of the bias; nil: all.
    /// - Parameter residual: `[tokens, outputs]`, added without a copy of its own.
    public func linear(
        _ x: Variable, _ weight: Variable, bias: Variable? = nil, rows: Range<Int>? = nil,
        residual: Variable? = nil
    ) -> Variable {
        let rows = rows ?? 0..<weight.shape[0]
        let inputs = weight.shape[1]
        let tokens = x.count / inputs
        precondition(
            x.count == tokens * inputs && rows.upperBound <= weight.shape[0],
            "x of \(x.shape) by rows \(rows) of a weight of \(weight.shape)")
        let outputs = rows.count
        let out = block(tokens * outputs)
        if let residual {
            precondition(
                residual.count == out.count, "a residual of \(residual.shape) for \([tokens, outputs])")
            out.base.update(from: residual.base, count: out.count)
        }
        multiply(
            view(x.base, columns: inputs),
            transposed(weight.base + rows.lowerBound * inputs, columns: inputs),
            rows: tokens, columns: outputs, depth: inputs, into: out.base, stride: outputs,
            adding: residual != nil)
        if let bias { wn_add_bias(pool.pointer, bias.base + rows.lowerBound, out.base, tokens, outputs) }
        let node =
            records([x, weight, bias, residual])
            ? LinearNode(self, x, weight, bias, residual, rows: rows, outputCount: out.count) : nil
        return output(out, [tokens, outputs], node)
    }
}

extension OpContext {
    /// a b of two matrices, without a tape.
    package func product(_ a: Tensor, _ b: Tensor) -> Variable {
        let (rows, depth, columns) = (a.shape[0], a.shape[1], b.shape[1])
        precondition(b.shape[0] == depth, "\(a.shape) by \(b.shape)")
        let out = block(rows * columns)
        multiply(
            view(a.floatBase, columns: depth), view(b.floatBase, columns: columns), rows: rows,
            columns: columns,
            depth: depth, into: out.base, stride: columns, adding: false)
        return Variable(out.freeze([rows, columns]))
    }
}

private final class LinearNode: TapeNode {
    private let rows: Range<Int>
    private let hasBias: Bool
    private let hasResidual: Bool

    init(
        _ context: OpContext, _ x: Variable, _ weight: Variable, _ bias: Variable?, _ residual: Variable?,
        rows: Range<Int>, outputCount: Int
    ) {
        self.rows = rows
        hasBias = bias != nil
        hasResidual = residual != nil
        super.init(
            context, inputs: [x, weight] + [bias, residual?.withoutValue].compactMap { $0 },
            outputCount: outputCount)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let (x, weight) = (inputs[0], inputs[1])
        let width = weight.shape[1]
        let tokens = outputCount / rows.count
        x.addGradient(context) { into, adding in
            context.multiply(
                view(gradient.base, columns: rows.count),
                view(weight.base + rows.lowerBound * width, columns: width),
                rows: tokens, columns: width, depth: rows.count, into: into, stride: width, adding: adding)
        }
        weight.addGradient(context) { into, adding in
            if !adding, rows.count < weight.shape[0] { into.update(repeating: 0, count: weight.count) }
            context.multiply(
                transposed(gradient.base, columns: rows.count), view(x.base, columns: width),
                rows: rows.count,
                columns: width, depth: tokens, into: into + rows.lowerBound * width, stride: width,
                adding: adding)
        }
        if hasBias {
            inputs[2].addGradient(context) { into, adding in
                if !adding { into.update(repeating: 0, count: inputs[2].count) }
                wn_sum_rows(context.pool.pointer, gradient.base, tokens, rows.count, into + rows.lowerBound)
            }
        }
        if hasResidual { inputs[inputs.count - 1].addGradient(gradient, context) }
    }
}
