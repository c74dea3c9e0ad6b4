import CWinnow

/// A non-linearity, alone or as the gate of another value.
public enum GateKind: Sendable, CaseIterable {
    case silu
    /// In its tanh form.
    case gelu
    case relu
    /// x (1 + erf(x / sqrt(2))) / 2.
    case exactGELU

    package var code: wn_gate {
        switch self {
        case .silu: WN_GATE_SILU
        case .gelu: WN_GATE_GELU
        case .relu: WN_GATE_RELU
        case .exactGELU: WN_GATE_EXACT_GELU
        }
    }
}

extension OpContext {
    /// act(gate) * up, or act(gate) alone.
    public func gate(_ kind: GateKind, _ gate: Variable, times up: Variable? = nil) -> Variable {
        precondition(up == nil || up!.count == gate.count, "a gate of \(gate.shape) for \(up!.shape)")
        let out = block(gate.count)
        wn_gate_forward(pool.pointer, kind.code, gate.base, up?.base, out.base, gate.count)
        let node = records([gate, up]) ? GateNode(self, kind, gate, up) : nil
        return output(out, gate.shape, node)
    }
}

private final class GateNode: TapeNode {
    private let kind: GateKind

    init(_ context: OpContext, _ kind: GateKind, _ gate: Variable, _ up: Variable?) {
        self.kind = kind
        super.init(context, inputs: [gate] + (up.map { [$0] } ?? []), outputCount: gate.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let gate = inputs[0]
        let up = inputs.count > 1 ? inputs[1] : nil
        let dGate = context.block(gate.count)
        let dUp = up.map { context.block($0.count) }
        wn_gate_backward(
            context.pool.pointer, kind.code, gate.base, up?.base, gradient.base, dGate.base, dUp?.base,
            gate.count)
        gate.addGradient(dGate, context)
        if let up, let dUp { up.addGradient(dUp, context) }
    }
}
