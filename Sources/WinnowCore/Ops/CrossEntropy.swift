import CWinnow

/// What a head's loss is measured on.
public struct LossTargets: Sendable {
    /// The token that follows each; below 0: none.
    public let ids: [Int32]
    /// What each counts, in the loss and its gradient; a mean has 1 / number.
    public let weights: [Float]

    public init(ids: [Int32], weights: [Float]) {
        precondition(ids.count == weights.count, "\(ids.count) targets, \(weights.count) weights")
        self.ids = ids
        self.weights = weights
    }

    /// The mean over the targets that are there, times `scale`.
    ///
    /// - Parameter count: how many there are, where these are a part of them.
    public init(meanOf ids: [Int32], of count: Int? = nil, scale: Float = 1) {
        let count = count ?? ids.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
        let weight = scale / Float(max(count, 1))
        self.init(ids: ids, weights: ids.map { $0 >= 0 ? weight : 0 })
    }
}

extension OpContext {
    /// Rows of logits made at once: all of them would be the largest tensor of a step.
    static let lossRows = 256

    /// sum_t weight[t] * (log sum exp(logits[t]) - logits[t, target[t]]), logits = hidden head^T, made in
    /// runs of rows and thrown away.
    ///
    /// Gradients are made along with the loss, so that logits are made once: the loss must be a root of the
    /// backward pass, or a sum's part.
    ///
    /// - Parameter cap: logits become cap * tanh(logits / cap); 0: they stay.
    /// - Parameter negativeLogLikelihoods: filled with each token's own, where it is given.
    public func crossEntropy(
        _ hidden: Variable, head: Variable, _ targets: LossTargets, cap: Float = 0,
        negativeLogLikelihoods: UnsafeMutableBufferPointer<Double>? = nil
    ) -> Variable {
        let (vocabulary, width) = (head.shape[0], head.shape[1])
        let tokens = targets.ids.count
        precondition(
            hidden.count == tokens * width, "hidden \(hidden.shape), head \(head.shape), \(tokens) targets")
        precondition(targets.ids.allSatisfy { $0 < vocabulary }, "a target outside of \(vocabulary)")
        return headLoss(hidden, head, rows: tokens) { logits, first, count, gradient, losses in
            targets.ids.withUnsafeBufferPointer { ids in
                targets.weights.withUnsafeBufferPointer { weights in
                    wn_cross_entropy(
                        pool.pointer, logits, ids.baseAddress! + first, weights.baseAddress! + first, cap,
                        losses,
                        gradient, count, vocabulary)
                    var sum = 0.0
                    for index in 0..<count {
                        sum += Double(weights[first + index]) * losses[index]
                        negativeLogLikelihoods?[first + index] = losses[index]
                    }
                    return sum
                }
            }
        }
    }

    /// sum_t weight[t] * T^2 KL(teacher || student), both softened by T; the teacher's logits are
    /// `teacherHidden teacherHead^T`.
    ///
    /// - Parameter cap: the student's logits become cap * tanh(logits / cap) before they are softened; 0: they stay.
    /// - Parameter teacherCap: the same of the teacher's.
    public func distillation(
        _ hidden: Variable, head: Variable, teacherHidden: Tensor, teacherHead: Tensor, temperature: Float,
        weights: [Float], cap: Float = 0, teacherCap: Float = 0
    ) -> Variable {
        let vocabulary = head.shape[0]
        let teacherWidth = teacherHead.shape[1]
        precondition(
            teacherHead.shape[0] == vocabulary, "vocabularies of \(vocabulary) and \(teacherHead.shape[0])")
        let teacher = block(min(OpContext.lossRows, weights.count) * vocabulary)
        return headLoss(hidden, head, rows: weights.count) { logits, first, count, gradient, losses in
            multiply(
                view(teacherHidden.floatBase + first * teacherWidth, columns: teacherWidth),
                transposed(teacherHead.floatBase, columns: teacherWidth), rows: count, columns: vocabulary,
                depth: teacherWidth, into: teacher.base, stride: vocabulary, adding: false)
            return weights.withUnsafeBufferPointer { weights in
                wn_kl_divergence(
                    pool.pointer, logits, teacher.base, weights.baseAddress! + first, temperature, cap,
                    teacherCap, losses, gradient, count, vocabulary)
                var sum = 0.0
                for index in 0..<count { sum += Double(weights[first + index]) * losses[index] }
                return sum
            }
        }
    }

    /// A loss over logits: `measure` gets runs of them and turns them into their gradient.
    private func headLoss(
        _ hidden: Variable, _ head: Variable, rows: Int,
        measure: (
            _ logits: UnsafeMutablePointer<Float>, _ first: Int, _ count: Int, _ gradient: Bool,
            _ losses: UnsafeMutablePointer<Double>
        ) -> Double
    ) -> Variable {
        let (vocabulary, width) = (head.shape[0], head.shape[1])
        let recorded = records([hidden, head])
        let dHidden = recorded && hidden.asksGradient ? block(hidden.count) : nil
        let dHead = recorded && head.asksGradient ? block(head.count) : nil
        let logits = block(min(OpContext.lossRows, rows) * vocabulary)
        var losses = [Double](repeating: 0, count: min(OpContext.lossRows, rows))
        var total = 0.0
        for first in stride(from: 0, to: rows, by: OpContext.lossRows) {
            let count = min(OpContext.lossRows, rows - first)
            let x = view(hidden.base + first * width, columns: width)
            multiply(
                x, transposed(head.base, columns: width), rows: count, columns: vocabulary, depth: width,
                into: logits.base, stride: vocabulary, adding: false)
            total += measure(logits.base, first, count, recorded, &losses)
            if let dHidden {
                multiply(
                    view(logits.base, columns: vocabulary), view(head.base, columns: width), rows: count,
                    columns: width, depth: vocabulary, into: dHidden.base + first * width, stride: width,
                    adding: false)
            }
            if let dHead {
                multiply(
                    transposed(logits.base, columns: vocabulary), x, rows: vocabulary, columns: width,
                    depth: count,
                    into: dHead.base, stride: width, adding: first > 0)
            }
        }
        let out = block(1)
        out.base[0] = Float(total)
        let node = recorded ? HeadLossNode(self, hidden, head, dHidden, dHead) : nil
        return output(out, [1], node)
    }
}

private final class HeadLossNode: TapeNode {
    private var dHidden: FloatBlock?
    private var dHead: FloatBlock?

    init(
        _ context: OpContext, _ hidden: Variable, _ head: Variable, _ dHidden: FloatBlock?,
        _ dHead: FloatBlock?
    ) {
        self.dHidden = dHidden
        self.dHead = dHead
        super.init(context, inputs: [hidden, head], outputCount: 1)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let scale = gradient.base[0]
        for (input, own) in [(inputs[0], dHidden), (inputs[1], dHead)] {
            guard let own else { continue }
            if scale == 1 {
                input.addGradient(own, context)
            } else {
                input.addGradient(context) { into, adding in
                    if !adding { into.update(repeating: 0, count: own.count) }
                    context.add(own.base, scale: scale, to: into, count: own.count)
                }
            }
        }
    }

    override func release() {
        super.release()
        dHidden = nil
        dHead = nil
    }
}
