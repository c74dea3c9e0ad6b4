extension OpContext {
    /// Runs a part of a model and keeps only its input: the part runs again when the backward pass comes to
    /// it.
    ///
    /// Costs one more forward pass of the part, and frees everything in it until then.
    ///
    /// - Parameter body: the same ops each time it is called: no randomness of its own.
    public func recomputed(_ input: Variable, _ body: @escaping (Variable) -> Variable) -> Variable {
        guard isRecording else { return body(input) }
        let value = withoutTape { body(input).value }
        let node = RecomputedNode(self, input: input, outputCount: value.count, body: body)
        return Variable(value, made: node)
    }
}

private final class RecomputedNode: TapeNode {
    /// What to run again: the one op that is not a formula.
    private var body: ((Variable) -> Variable)?

    init(_ context: OpContext, input: Variable, outputCount: Int, body: @escaping (Variable) -> Variable) {
        self.body = body
        super.init(context, inputs: [input], outputCount: outputCount)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        // A leaf of its own, so that the inner pass ends here.
        let leaf = Variable(asking: inputs[0].value)
        let output = context.withTape { body!(leaf) }
        context.backward(output, gradient: gradient)
        if let own = context.gradient(of: leaf) { inputs[0].addGradient(own, context) }
    }

    override func release() {
        super.release()
        body = nil
    }
}
