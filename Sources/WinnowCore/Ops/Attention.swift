import CWinnow

/// The shape of attention over a batch of sequences of one length.
public struct AttentionShape: Sendable {
    public var sequences: Int
    public var length: Int
    public var heads: Int
    public var keyValueHeads: Int
    public var headWidth: Int
    /// nil: 1 / sqrt(headWidth).
    public var scale: Float?
    /// Scores become cap * tanh(score / cap); 0: they stay.
    public var cap: Float = 0
    /// The tokens that a query sees, its own among them; nil: all before it.
    public var window: Int?
    /// For each token the first position of its sequence that it may see: where its document begins. nil: 0.
    public var starts: [Int32]?
    /// For each token the position past the last that it sees, after its own; nil: causal, none after itself.
    public var ends: [Int32]?

    public init(sequences: Int, length: Int, heads: Int, keyValueHeads: Int, headWidth: Int) {
        self.sequences = sequences
        self.length = length
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headWidth = headWidth
    }

    fileprivate func withDescriptor(_ body: (inout wn_attention_shape) -> Void) {
        var shape = wn_attention_shape()
        shape.sequences = sequences
        shape.length = length
        shape.heads = heads
        shape.kv_heads = keyValueHeads
        shape.head_width = headWidth
        shape.window = window ?? 0
        shape.scale = scale ?? 1 / Float(headWidth).squareRoot()
        shape.cap = cap
        (starts ?? []).withUnsafeBufferPointer { starts in
            (ends ?? []).withUnsafeBufferPointer { ends in
                shape.starts = starts.isEmpty ? nil : starts.baseAddress
                shape.ends = ends.isEmpty ? nil : ends.baseAddress
                body(&shape)
            }
        }
    }
}

extension OpContext {
    /// softmax(scale * q k^T) v, causal or both ways, queries in groups over fewer keys; no `[length, length]` buffer.
    ///
    /// - Parameter q: `[tokens, heads * headWidth]`; `k`, `v` of fewer heads.
    /// - Source: FlashAttention, arXiv 2205.14135: the forward pass keeps the logarithm of each row's sum,
    ///   the backward pass makes the scores again.
    public func attention(_ q: Variable, _ k: Variable, _ v: Variable, _ shape: AttentionShape) -> Variable {
        let tokens = shape.sequences * shape.length
        let keyCount = tokens * shape.keyValueHeads * shape.headWidth
        precondition(
            q.count == tokens * shape.heads * shape.headWidth && k.count == keyCount && v.count == keyCount,
            "q \(q.shape), k \(k.shape), v \(v.shape) for \(shape)")
        precondition(shape.headWidth <= 256, "heads of \(shape.headWidth), more than 256")
        precondition(shape.starts == nil || shape.starts!.count == tokens, "starts for \(tokens) tokens")
        precondition(shape.ends == nil || shape.ends!.count == tokens, "ends for \(tokens) tokens")
        let out = block(q.count)
        let logSums = block(tokens * shape.heads)
        withAttentionWorkspace(headWidth: shape.headWidth) { workspace in
            shape.withDescriptor {
                wn_attention_forward(
                    pool.pointer, &$0, q.base, k.base, v.base, out.base, logSums.base, workspace)
            }
        }
        let value = out.freeze(q.shape)
        let node = records([q, k, v]) ? AttentionNode(self, q, k, v, shape, value, logSums) : nil
        return Variable(value, made: node)
    }
}

private final class AttentionNode: TapeNode {
    private let shape: AttentionShape
    private var out: Tensor?
    private var logSums: FloatBlock?

    init(
        _ context: OpContext, _ q: Variable, _ k: Variable, _ v: Variable, _ shape: AttentionShape,
        _ out: Tensor,
        _ logSums: FloatBlock
    ) {
        self.shape = shape
        self.out = out
        self.logSums = logSums
        super.init(context, inputs: [q, k, v], outputCount: q.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let gradients = inputs.map { context.block($0.count) }
        let bases = inputs.map(\.base)
        context.withAttentionWorkspace(headWidth: shape.headWidth) { workspace in
            shape.withDescriptor {
                wn_attention_backward(
                    context.pool.pointer, &$0, bases[0], bases[1], bases[2], out!.floatBase, logSums!.base,
                    gradient.base, gradients[0].base, gradients[1].base, gradients[2].base, workspace)
            }
        }
        for (input, own) in zip(inputs, gradients) { input.addGradient(own, context) }
    }

    override func release() {
        super.release()
        out = nil
        logSums = nil
    }
}
