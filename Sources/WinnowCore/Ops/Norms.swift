import CWinnow

extension OpContext {
    /// y = x (w + offset) / sqrt(mean(x^2) + epsilon) over rows as wide as the weight.
    public func rmsNorm(_ x: Variable, _ weight: Variable, epsilon: Float, offset: Float = 0) -> Variable {
        norm(x, weight, bias: nil, epsilon: epsilon, offset: offset)
    }

    /// y = (x - mean) w / sqrt(variance + epsilon) + bias.
    public func layerNorm(_ x: Variable, _ weight: Variable, bias: Variable, epsilon: Float) -> Variable {
        norm(x, weight, bias: bias, epsilon: epsilon, offset: 0)
    }

    private func norm(
        _ x: Variable, _ weight: Variable, bias: Variable?, epsilon: Float, offset: Float
    ) -> Variable {
        let columns = weight.count
        let rows = x.count / columns
        precondition(rows * columns == x.count, "a norm of \(columns) over \(x.shape)")
        let out = block(x.count)
        let effective = shifted(weight, by: offset)
        let rowsAtOnce = max(1, 1 << 14 / columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            let first = chunk * rowsAtOnce
            let count = min(rowsAtOnce, rows - first)
            let (from, to) = (x.base + first * columns, out.base + first * columns)
            if let bias {
                wn_layer_norm(
                    from, columns, effective.pointer, bias.base, epsilon, to, columns, count, columns)
            } else {
                wn_rms_norm(from, columns, effective.pointer, epsilon, to, columns, count, columns)
            }
        }
        withExtendedLifetime(effective) {}
        let node =
            records([x, weight, bias])
            ? NormNode(self, x, weight, bias, epsilon: epsilon, offset: offset) : nil
        return output(out, x.shape, node)
    }

    fileprivate func shifted(_ weight: Variable, by offset: Float) -> ShiftedWeights {
        guard offset != 0 else { return ShiftedWeights(pointer: weight.base, block: nil) }
        let shifted = block(weight.count)
        for column in 0..<weight.count { shifted.base[column] = weight.base[column] + offset }
        return ShiftedWeights(pointer: UnsafePointer(shifted.base), block: shifted)
    }
}

private struct ShiftedWeights {
    let pointer: UnsafePointer<Float>
    let block: FloatBlock?
}

private final class NormNode: TapeNode {
    private let epsilon: Float
    private let offset: Float

    init(
        _ context: OpContext, _ x: Variable, _ weight: Variable, _ bias: Variable?, epsilon: Float,
        offset: Float
    ) {
        self.epsilon = epsilon
        self.offset = offset
        super.init(context, inputs: [x, weight] + (bias.map { [$0] } ?? []), outputCount: x.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let (x, weight) = (inputs[0], inputs[1])
        let columns = weight.count
        let rows = x.count / columns
        let isLayer = inputs.count > 2
        let scales = context.block(rows * 2)
        let effective = context.shifted(weight, by: offset)
        let pool = context.pool.pointer
        // Gradients of the weights first: they need the scales of rows, which either pass makes.
        func run(
            _ dX: UnsafeMutablePointer<Float>?, _ adding: Bool, _ dWeight: UnsafeMutablePointer<Float>?,
            _ dBias: UnsafeMutablePointer<Float>?
        ) {
            if isLayer {
                wn_layer_norm_backward(
                    pool, x.base, effective.pointer, epsilon, gradient.base, dX, adding, dWeight, dBias,
                    scales.base,
                    rows, columns)
            } else {
                wn_rms_norm_backward(
                    pool, x.base, effective.pointer, epsilon, gradient.base, dX, adding, dWeight, scales.base,
                    rows,
                    columns)
            }
        }
        func withVector(_ vector: Variable?, _ body: (UnsafeMutablePointer<Float>?) -> Void) {
            guard let vector, vector.asksGradient else { return body(nil) }
            vector.addGradient(context) { into, adding in
                if !adding { into.update(repeating: 0, count: columns) }
                body(into)
            }
        }
        withVector(weight) { dWeight in
            withVector(isLayer ? inputs[2] : nil) { dBias in
                if x.asksGradient {
                    x.addGradient(context) { into, adding in run(into, adding, dWeight, dBias) }
                } else {
                    run(nil, false, dWeight, dBias)
                }
            }
        }
        withExtendedLifetime(effective) {}
    }
}
