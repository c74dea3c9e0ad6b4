import CWinnow

extension OpContext {
    /// ``linear(_:_:bias:rows:residual:)`` of a weight that is zero in all columns but some: those alone are gathered and
    /// multiplied, forward and back. The gradient of the others is zero.
    ///
    /// - Parameter columns: of the weight, and of x, ascending; the weight is zero in every other one.
    public func linear(
        _ x: Variable, _ weight: Variable, bias: Variable? = nil, rows: Range<Int>? = nil,
        residual: Variable? = nil, columns: [Int32]
    ) -> Variable {
        let rows = rows ?? 0..<weight.shape[0]
        let (inputs, outputs, kept) = (weight.shape[1], rows.count, columns.count)
        let tokens = x.count / inputs
        precondition(
            x.count == tokens * inputs && rows.upperBound <= weight.shape[0],
            "x of \(x.shape) by rows \(rows) of a weight of \(weight.shape)")
        precondition(columns.allSatisfy { $0 >= 0 && $0 < inputs }, "a column past the \(inputs) there are")
        let fewInputs = gathered(x.base, rows: tokens, stride: inputs, columns)
        let fewWeights = gathered(
            weight.base + rows.lowerBound * inputs, rows: outputs, stride: inputs, columns)
        let out = block(tokens * outputs)
        if let residual {
            precondition(
                residual.count == out.count, "a residual of \(residual.shape) for \([tokens, outputs])")
            out.base.update(from: residual.base, count: out.count)
        } else if kept == 0 {
            out.base.update(repeating: 0, count: out.count)
        }
        if kept > 0 {
            multiply(
                view(fewInputs.base, columns: kept), transposed(fewWeights.base, columns: kept),
                rows: tokens, columns: outputs, depth: kept, into: out.base, stride: outputs,
                adding: residual != nil)
        }
        if let bias { wn_add_bias(pool.pointer, bias.base + rows.lowerBound, out.base, tokens, outputs) }
        let node =
            records([x, weight, bias, residual])
            ? ColumnLinearNode(
                self, x, weight, bias, residual, rows: rows, columns, fewInputs, fewWeights,
                outputCount: out.count)
            : nil
        return output(out, [tokens, outputs], node)
    }

    /// `[rows, columns.count]`.
    private func gathered(_ from: UnsafePointer<Float>, rows: Int, stride: Int, _ columns: [Int32])
        -> FloatBlock
    {
        let out = block(rows * columns.count)
        columns.withUnsafeBufferPointer { columns in
            for row in 0..<rows {
                let (line, to) = (from + row * stride, out.base + row * columns.count)
                for (place, column) in columns.enumerated() { to[place] = line[Int(column)] }
            }
        }
        return out
    }
}

private final class ColumnLinearNode: TapeNode {
    private let rows: Range<Int>
    private let columns: [Int32]
    private let width: Int
    private let weightCount: Int
    private let hasBias: Bool
    private let hasResidual: Bool
    private var fewInputs: FloatBlock?
    private var fewWeights: FloatBlock?

    init(
        _ context: OpContext, _ x: Variable, _ weight: Variable, _ bias: Variable?, _ residual: Variable?,
        rows: Range<Int>, _ columns: [Int32], _ fewInputs: FloatBlock, _ fewWeights: FloatBlock,
        outputCount: Int
    ) {
        self.rows = rows
        self.columns = columns
        width = weight.shape[1]
        weightCount = weight.count
        hasBias = bias != nil
        hasResidual = residual != nil
        self.fewInputs = fewInputs
        self.fewWeights = fewWeights
        // What was gathered is kept, and neither the whole input nor the whole weight.
        super.init(
            context,
            inputs: [x.withoutValue, weight.withoutValue] + [bias, residual?.withoutValue].compactMap { $0 },
            outputCount: outputCount)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let (outputs, kept) = (rows.count, columns.count)
        let tokens = outputCount / outputs
        inputs[0].addGradient(context) { into, adding in
            if !adding { into.update(repeating: 0, count: tokens * width) }
            guard kept > 0 else { return }
            let few = context.block(tokens * kept)
            context.multiply(
                view(gradient.base, columns: outputs), view(fewWeights!.base, columns: kept), rows: tokens,
                columns: kept, depth: outputs, into: few.base, stride: kept, adding: false)
            scatter(few.base, rows: tokens, into)
        }
        inputs[1].addGradient(context) { into, adding in
            if !adding { into.update(repeating: 0, count: weightCount) }
            guard kept > 0 else { return }
            let few = context.block(outputs * kept)
            context.multiply(
                transposed(gradient.base, columns: outputs), view(fewInputs!.base, columns: kept),
                rows: outputs,
                columns: kept, depth: tokens, into: few.base, stride: kept, adding: false)
            scatter(few.base, rows: outputs, into + rows.lowerBound * width)
        }
        if hasBias {
            inputs[2].addGradient(context) { into, adding in
                if !adding { into.update(repeating: 0, count: inputs[2].count) }
                wn_sum_rows(context.pool.pointer, gradient.base, tokens, outputs, into + rows.lowerBound)
            }
        }
        if hasResidual { inputs[inputs.count - 1].addGradient(gradient, context) }
    }

    private func scatter(_ few: UnsafePointer<Float>, rows: Int, _ into: UnsafeMutablePointer<Float>) {
        columns.withUnsafeBufferPointer { columns in
            for row in 0..<rows {
                let (line, to) = (few + row * columns.count, into + row * width)
                for (place, column) in columns.enumerated() { to[Int(column)] += line[place] }
            }
        }
    }

    override func release() {
        super.release()
        fewInputs = nil
        fewWeights = nil
    }
}
