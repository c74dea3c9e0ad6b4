/// The way back through an op of another target: what ``TapeNode``'s subclasses are here.
package protocol BackwardPass: AnyObject {
    /// Adds to the gradients of the inputs.
    func backward(_ gradient: FloatBlock, to inputs: [Variable], _ context: OpContext)
}

extension OpContext {
    /// The output of an op; with a node where an input asks for a gradient.
    package func output(
        _ block: FloatBlock, _ shape: [Int], from inputs: [Variable], by pass: () -> any BackwardPass
    ) -> Variable {
        output(
            block, shape,
            records(inputs) ? PassNode(self, inputs: inputs, outputCount: block.count, pass: pass()) : nil)
    }
}

private final class PassNode: TapeNode {
    private var pass: (any BackwardPass)?

    init(_ context: OpContext, inputs: [Variable], outputCount: Int, pass: any BackwardPass) {
        self.pass = pass
        super.init(context, inputs: inputs, outputCount: outputCount)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        pass?.backward(gradient, to: inputs, context)
    }

    override func release() {
        super.release()
        pass = nil
    }
}
