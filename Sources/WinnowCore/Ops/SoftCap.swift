import CWinnow

extension OpContext {
    /// cap * tanh(x / cap); x itself for a cap of 0.
    public func softCapped(_ x: Variable, cap: Float) -> Variable {
        guard cap > 0 else { return x }
        let out = block(x.count)
        out.base.update(from: x.base, count: x.count)
        wn_soft_cap(out.base, cap, x.count)
        let value = out.freeze(x.shape)
        let node = records([x]) ? SoftCapNode(self, x, value, cap: cap) : nil
        return Variable(value, made: node)
    }
}

private final class SoftCapNode: TapeNode {
    private var value: Tensor?
    private let cap: Float

    init(_ context: OpContext, _ x: Variable, _ value: Tensor, cap: Float) {
        self.value = value
        self.cap = cap
        super.init(context, inputs: [x.withoutValue], outputCount: x.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let capped = value!.floatBase
        inputs[0].addGradient(context) { into, adding in
            for index in 0..<outputCount {
                let share = capped[index] / cap
                let d = gradient.base[index] * (1 - share * share)
                into[index] = adding ? into[index] + d : d
            }
        }
    }

    override func release() {
        super.release()
        value = nil
    }
}
