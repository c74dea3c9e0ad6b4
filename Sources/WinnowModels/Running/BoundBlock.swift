import WinnowCore
import WinnowIO
import WinnowWeights

/// A block's products with their places in the workspace filled in: what a step runs.
struct BoundBlock {
    let attentionNorm: BoundNorm
    let attentionInputs: [PreparedInput]
    let queryKeyValue: ProductGroup
    let queryNorm: BoundNorm?
    let keyNorm: BoundNorm?
    let outputInputs: [PreparedInput]
    let output: ProductGroup
    let postAttentionNorm: BoundNorm?
    let feedForwardNorm: BoundNorm
    let feedForwardInputs: [PreparedInput]
    let gateUp: ProductGroup
    let downInputs: [PreparedInput]
    let down: ProductGroup
    let postFeedForwardNorm: BoundNorm?

    init(_ block: TransformerBlock, mode: ActivationMode, in space: RunnerWorkspace) {
        let attention = block.attention
        attentionNorm = BoundNorm(block.attentionNorm)
        attentionInputs = space.widthInputs.inputs(for: attention.inputWeights.map(\.matrix), mode: mode)
        var products = ProductGroup()
        for (linear, place) in [
            (attention.query, space.query), (attention.key, space.key), (attention.value, space.value),
        ] {
            products.add(linear, from: space.widthInputs, mode, to: place)
        }
        queryKeyValue = products
        queryNorm = attention.queryNorm.map(BoundNorm.init)
        keyNorm = attention.keyNorm.map(BoundNorm.init)

        // Without a norm of its own a branch's output goes straight into the residual.
        outputInputs = space.headsInputs.inputs(for: [attention.output.weight.matrix], mode: mode)
        postAttentionNorm = block.postAttentionNorm.map(BoundNorm.init)
        output = ProductGroup(
            attention.output, from: space.headsInputs, mode, joining: postAttentionNorm == nil, space)

        let feedForward = block.feedForward
        feedForwardNorm = BoundNorm(block.feedForwardNorm)
        feedForwardInputs = space.widthInputs.inputs(for: feedForward.inputWeights.map(\.matrix), mode: mode)
        products = ProductGroup()
        products.add(feedForward, from: space.widthInputs, mode, to: space.gated)
        gateUp = products

        downInputs = space.gatedInputs.inputs(for: [feedForward.down.weight.matrix], mode: mode)
        postFeedForwardNorm = block.postFeedForwardNorm.map(BoundNorm.init)
        down = ProductGroup(
            feedForward.down, from: space.gatedInputs, mode, joining: postFeedForwardNorm == nil, space)
    }

    var scratchBytes: Int {
        max(
            queryKeyValue.scratchBytes, max(output.scratchBytes, max(gateUp.scratchBytes, down.scratchBytes)))
    }
}

extension ProductGroup {
    fileprivate mutating func add(
        _ linear: Linear, from inputs: InputSet, _ mode: ActivationMode,
        to place: UnsafeMutablePointer<Float>,
        epilogue: Epilogue = .store
    ) {
        let matrix = linear.weight.matrix
        add(
            matrix, input: inputs.input(for: matrix, mode: mode), output: place, stride: linear.outputs,
            epilogue: epilogue, bias: linear.biasStorage, rows: linear.rows)
    }

    /// The output product of a branch: added to the residual, or left for the branch's norm.
    fileprivate init(
        _ linear: Linear, from inputs: InputSet, _ mode: ActivationMode, joining: Bool,
        _ space: RunnerWorkspace
    ) {
        self.init()
        add(
            linear, from: inputs, mode, to: joining ? space.hidden : space.branch,
            epilogue: joining ? .add : .store)
    }

    fileprivate mutating func add(
        _ feedForward: FeedForward, from inputs: InputSet, _ mode: ActivationMode,
        to place: UnsafeMutablePointer<Float>
    ) {
        guard let gate = feedForward.gate else {
            let epilogue: Epilogue =
                switch feedForward.activation {
                case .geluTanh: .gelu
                case .relu: .relu
                case .silu: preconditionFailure("SiLU without a gate: no family has it")
                }
            return add(feedForward.up, from: inputs, mode, to: place, epilogue: epilogue)
        }
        let epilogue: Epilogue =
            switch feedForward.activation {
            case .silu: .gatedSiLU
            case .geluTanh: .gatedGELU
            case .relu: preconditionFailure("a ReLU gate: no family has it")
            }
        // A product and its gate count rows alike, so the parts of a fused matrix become matrices of their own.
        func part(_ linear: Linear) -> WeightMatrix {
            linear.rows.map(linear.weight.matrix.slice) ?? linear.weight.matrix
        }
        let (up, gating) = (part(feedForward.up), part(gate))
        add(
            up, input: inputs.input(for: up, mode: mode), output: place, stride: up.rows, epilogue: epilogue,
            gate: (gating, inputs.input(for: gating, mode: mode)))
    }
}

extension Linear {
    fileprivate var biasStorage: Storage? { bias.map { Storage(copying: $0.vector.floats() ?? []) } }
}
