import WinnowCore
import WinnowIO
import WinnowWeights

/// A block's products with their places in the workspace filled in: what a step runs.
struct BoundBlock {
    /// Before attention.
    let attentionNorm: BoundNorm?
    let attentionInputs: [PreparedInput]
    let queryKeyValue: ProductGroup
    let queryNorm: BoundNorm?
    let keyNorm: BoundNorm?
    let outputInputs: [PreparedInput]
    let output: ProductGroup
    let postAttentionNorm: BoundNorm?
    /// Over the residual after attention, and after the feed-forward network.
    let attentionResidualNorm: BoundNorm?
    let feedForwardResidualNorm: BoundNorm?
    /// Before the feed-forward network.
    let feedForwardNorm: BoundNorm?
    /// Replaced while a plan's neurons are in use.
    var feedForward: BoundFeedForward?
    let mixture: BoundMixture?
    let postFeedForwardNorm: BoundNorm?

    init(
        _ block: TransformerBlock, traits: DecoderTraits, mode: ActivationMode, in space: RunnerWorkspace
    ) {
        let attention = block.attention
        let norms = (
            attention: block.attentionNorm.map(BoundNorm.init),
            feedForward: (block.feedForwardNorm ?? (traits.sharesBranchNorm ? block.attentionNorm : nil))
                .map(BoundNorm.init)
        )
        let isBefore = block.normPlacement == .before
        attentionNorm = isBefore ? norms.attention : nil
        feedForwardNorm = isBefore ? norms.feedForward : nil
        attentionResidualNorm = isBefore ? nil : norms.attention
        feedForwardResidualNorm = isBefore ? nil : norms.feedForward
        let isScaled = traits.residualScale != 1
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
            attention.output, from: space.headsInputs, mode, joining: postAttentionNorm == nil && !isScaled,
            space)

        postFeedForwardNorm = block.postFeedForwardNorm.map(BoundNorm.init)
        let joins = postFeedForwardNorm == nil && !isScaled
        feedForward = block.feedForward.map { BoundFeedForward($0, mode: mode, joining: joins, in: space) }
        mixture = block.mixture.map { BoundMixture($0, mode: mode, in: space) }
    }

    var scratchBytes: Int {
        max(
            max(queryKeyValue.scratchBytes, output.scratchBytes),
            max(feedForward?.scratchBytes ?? 0, mixture?.scratchBytes ?? 0))
    }
}

/// A feed-forward network's products.
struct BoundFeedForward {
    let inputs: [PreparedInput]
    let gateUp: ProductGroup
    /// Of the gated activations.
    let width: Int
    let downInputs: [PreparedInput]
    let down: ProductGroup
    let isJoining: Bool

    /// - Parameter isJoining: adds its output to the residual; otherwise it is left for the branch's norm.
    /// - Parameter hiddenInputs: what the down projection reads; nil: the workspace's.
    init(
        _ feedForward: FeedForward, mode: ActivationMode, joining isJoining: Bool, in space: RunnerWorkspace,
        hiddenInputs: InputSet? = nil
    ) {
        inputs = space.widthInputs.inputs(for: feedForward.inputWeights.map(\.matrix), mode: mode)
        var products = ProductGroup()
        products.add(feedForward, from: space.widthInputs, mode, to: space.gated)
        gateUp = products
        width = feedForward.down.weight.matrix.columns
        let hiddenInputs = hiddenInputs ?? space.gatedInputs
        downInputs = hiddenInputs.inputs(for: [feedForward.down.weight.matrix], mode: mode)
        down = ProductGroup(feedForward.down, from: hiddenInputs, mode, joining: isJoining, space)
        self.isJoining = isJoining
    }

    var scratchBytes: Int { max(gateUp.scratchBytes, down.scratchBytes) }
}

extension ProductGroup {
    mutating func add(
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

    mutating func add(
        _ feedForward: FeedForward, from inputs: InputSet, _ mode: ActivationMode,
        to place: UnsafeMutablePointer<Float>
    ) {
        guard let gate = feedForward.gate else {
            let epilogue: Epilogue =
                switch feedForward.activation {
                case .geluTanh: .gelu
                case .gelu: .exactGELU
                case .relu: .relu
                case .silu: preconditionFailure("SiLU without a gate: no family has it")
                }
            return add(feedForward.up, from: inputs, mode, to: place, epilogue: epilogue)
        }
        let epilogue: Epilogue =
            switch feedForward.activation {
            case .silu: .gatedSiLU
            case .geluTanh: .gatedGELU
            case .gelu: .gatedExactGELU
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
