/// A value that gradients may flow to: an immutable float32 tensor and, where an input asked for it, the tape
/// node that made it.
///
/// There is no global tape: nodes hold their inputs, and a value that nothing asks gradients of holds no
/// node.
public final class Variable {
    public let value: Tensor
    /// What made it, or for a leaf what collects its gradient; nil where no gradient flows.
    private(set) var node: TapeNode?
    /// Where a parameter's gradient is added up, outside of the tape.
    let sink: GradientSink?

    /// A constant.
    public init(_ value: Tensor) {
        self.value = value
        node = nil
        sink = nil
    }

    init(_ value: Tensor, made node: TapeNode?) {
        self.value = value
        self.node = node
        sink = nil
    }

    /// A parameter: its gradient is added to what stands in `gradient`, which outlives every step.
    package init(_ value: Tensor, gradient: UnsafeMutablePointer<Float>) {
        self.value = value
        node = nil
        sink = GradientSink(base: gradient)
    }

    /// A leaf whose gradient ``OpContext/gradient(of:)`` gives after the backward pass.
    public init(asking value: Tensor) {
        self.value = value
        node = TapeNode(nil, inputs: [], outputCount: value.count)
        sink = nil
    }

    public var shape: [Int] { value.shape }
    public var count: Int { value.count }
    /// Whether a gradient flows here.
    public var asksGradient: Bool { node != nil || sink != nil }

    /// The value of a loss.
    public var scalar: Float {
        precondition(count == 1, "a scalar of shape \(shape)")
        return value.floatBase[0]
    }

    package var base: UnsafePointer<Float> { value.floatBase }

    /// The same values under another shape.
    package func reshaped(_ shape: [Int]) -> Variable {
        Variable(Tensor(dtype: .f32, shape: shape, bytes: value.bytes), sharing: self)
    }

    /// Where the gradient goes, without the value: what a node holds of inputs that its way back does not
    /// read, so that their memory is free as soon as nobody else needs it.
    package var withoutValue: Variable {
        Variable(Variable.nothing, sharing: self)
    }

    private static let nothing = Tensor(dtype: .f32, shape: [0], bytes: StorageSlice(copying: [Float]()))

    private init(_ value: Tensor, sharing other: Variable) {
        self.value = value
        node = other.node
        sink = other.sink
    }

    deinit {
        // A chain of nodes is as long as the model is deep: let go of one after another, not inside each
        // other.
        var doomed = [node.take()].compactMap { $0 }
        while var next = doomed.popLast() {
            guard isKnownUniquelyReferenced(&next) else { continue }
            var inputs = next.inputs
            next.inputs = []
            for index in inputs.indices where isKnownUniquelyReferenced(&inputs[index]) {
                if let inner = inputs[index].node {
                    inputs[index].node = nil
                    doomed.append(inner)
                }
            }
        }
    }
}

/// Where a parameter's gradient is added up.
struct GradientSink {
    let base: UnsafeMutablePointer<Float>
}

/// An operation that was done, with what its backward pass needs; each op has a subclass with both written by
/// hand.
package class TapeNode {
    /// Later nodes have higher numbers, so numbers are an order of the graph.
    let number: Int
    package fileprivate(set) var inputs: [Variable]
    let outputCount: Int
    /// Of the output, added up while the nodes after this one go backward.
    fileprivate(set) var gradient: FloatBlock?

    /// - Parameter context: nil for a leaf, which comes before everything.
    package init(_ context: OpContext?, inputs: [Variable], outputCount: Int) {
        number = context?.nextNumber() ?? -1
        self.inputs = inputs
        self.outputCount = outputCount
    }

    /// Adds to the gradients of the inputs. Called once, when `gradient` is complete.
    package func backward(_ gradient: FloatBlock, _ context: OpContext) {
        fatalError("an op without a backward pass")
    }

    /// Lets go of inputs and saved values.
    package func release() { inputs = [] }
}

extension Variable {
    /// Lets a kernel write this value's gradient, or add to it.
    ///
    /// - Parameter write: told where, and whether to add to what is there. Not called where no gradient
    ///   flows.
    package func addGradient(
        _ context: OpContext, _ write: (_ into: UnsafeMutablePointer<Float>, _ adding: Bool) -> Void
    ) {
        if let sink { return write(sink.base, true) }
        guard let node else { return }
        if node.gradient == nil {
            let block = FloatBlock(count: node.outputCount, in: context.memory)
            write(block.base, false)
            node.gradient = block
        } else {
            write(node.ownGradient(context).base, true)
        }
    }

    /// Passes a gradient on as it is: nothing is copied unless two places hold it and one must write.
    package func addGradient(_ block: FloatBlock, _ context: OpContext) {
        if let sink { return context.add(block.base, to: sink.base, count: block.count) }
        guard let node else { return }
        if node.gradient == nil {
            node.gradient = block
        } else {
            context.add(block.base, to: node.ownGradient(context).base, count: block.count)
        }
    }
}

extension TapeNode {
    /// The gradient so far, copied first when somebody else holds it too.
    fileprivate func ownGradient(_ context: OpContext) -> FloatBlock {
        if !isKnownUniquelyReferenced(&gradient) {
            let copy = FloatBlock(count: outputCount, in: context.memory)
            copy.base.update(from: gradient!.base, count: outputCount)
            gradient = copy
        }
        return gradient!
    }
}

extension OpContext {
    /// Runs the backward pass from losses, each a scalar with the gradient 1.
    ///
    /// Afterwards parameters have their gradients added up, and the tape behind the losses is gone.
    public func backward(_ losses: [Variable]) {
        for loss in losses {
            precondition(loss.count == 1, "backward from a value of shape \(loss.shape)")
            loss.addGradient(self) { into, adding in into[0] = adding ? into[0] + 1 : 1 }
        }
        run(from: losses.compactMap(\.node))
    }

    public func backward(_ loss: Variable) { backward([loss]) }

    /// The backward pass from one value whose gradient is known.
    package func backward(_ output: Variable, gradient: FloatBlock) {
        output.addGradient(gradient, self)
        run(from: [output.node].compactMap { $0 })
    }

    /// The gradient that a leaf made with ``Variable/init(asking:)`` got; nil where none flowed.
    package func gradient(of leaf: Variable) -> FloatBlock? { leaf.node?.gradient }

    private func run(from roots: [TapeNode]) {
        var seen = Set<ObjectIdentifier>()
        var order: [TapeNode] = []
        var pending = roots
        while let node = pending.popLast() {
            guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
            order.append(node)
            for input in node.inputs { if let inner = input.node { pending.append(inner) } }
        }
        order.sort { $0.number < $1.number }
        while let node = order.popLast() {
            guard node.number >= 0 else { break }  // leaves keep theirs
            if let gradient = node.gradient {
                node.gradient = nil
                node.backward(gradient, self)
            }
            node.release()
        }
    }
}
