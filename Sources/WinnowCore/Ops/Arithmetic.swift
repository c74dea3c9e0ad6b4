import CWinnow

extension OpContext {
    /// a + scale * b.
    public func add(_ a: Variable, _ b: Variable, scale: Float = 1) -> Variable {
        precondition(a.count == b.count, "\(a.shape) + \(b.shape)")
        let out = block(a.count)
        out.base.update(from: a.base, count: a.count)
        add(b.base, scale: scale, to: out.base, count: a.count)
        return output(out, a.shape, records([a, b]) ? SumNode(self, a, b, scale: scale) : nil)
    }

    /// scale * a.
    public func scale(_ a: Variable, by scale: Float) -> Variable {
        let out = block(a.count)
        for index in 0..<a.count { out.base[index] = scale * a.base[index] }
        return output(out, a.shape, records([a]) ? ScaleNode(self, a, scale: scale) : nil)
    }

    /// a * b, element by element.
    public func multiply(_ a: Variable, _ b: Variable) -> Variable {
        precondition(a.count == b.count, "\(a.shape) * \(b.shape)")
        let out = block(a.count)
        for index in 0..<a.count { out.base[index] = a.base[index] * b.base[index] }
        return output(
            out, a.shape, records([a, b]) ? ProductNode(self, inputs: [a, b], outputCount: a.count) : nil)
    }

    /// 1 / (1 + exp(-a)), element by element: of few values, the scores of a router.
    public func sigmoid(_ a: Variable) -> Variable {
        let out = block(a.count)
        for index in 0..<a.count { out.base[index] = 1 / (1 + wn_exp(-a.base[index])) }
        let value = out.freeze(a.shape)
        return Variable(value, made: records([a]) ? SigmoidNode(self, a, value) : nil)
    }
}

private final class SigmoidNode: TapeNode {
    private var value: Tensor?

    init(_ context: OpContext, _ a: Variable, _ value: Tensor) {
        self.value = value
        super.init(context, inputs: [a.withoutValue], outputCount: a.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let shares = value!.floatBase
        inputs[0].addGradient(context) { into, adding in
            for index in 0..<outputCount {
                let d = gradient.base[index] * shares[index] * (1 - shares[index])
                into[index] = adding ? into[index] + d : d
            }
        }
    }

    override func release() {
        super.release()
        value = nil
    }
}

private final class SumNode: TapeNode {
    private let scale: Float

    init(_ context: OpContext, _ a: Variable, _ b: Variable, scale: Float) {
        self.scale = scale
        super.init(context, inputs: [a.withoutValue, b.withoutValue], outputCount: a.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        if scale == 1 {
            inputs[1].addGradient(gradient, context)
        } else {
            inputs[1].addGradient(context) { into, adding in
                if !adding { into.update(repeating: 0, count: outputCount) }
                context.add(gradient.base, scale: scale, to: into, count: outputCount)
            }
        }
        inputs[0].addGradient(gradient, context)
    }
}

private final class ScaleNode: TapeNode {
    private let scale: Float

    init(_ context: OpContext, _ a: Variable, scale: Float) {
        self.scale = scale
        super.init(context, inputs: [a.withoutValue], outputCount: a.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        inputs[0].addGradient(context) { into, adding in
            if !adding { into.update(repeating: 0, count: outputCount) }
            context.add(gradient.base, scale: scale, to: into, count: outputCount)
        }
    }
}

private final class ProductNode: TapeNode {
    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        for (own, other) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
            own.addGradient(context) { into, adding in
                for index in 0..<outputCount {
                    let product = gradient.base[index] * other.base[index]
                    into[index] = adding ? into[index] + product : product
                }
            }
        }
    }
}
