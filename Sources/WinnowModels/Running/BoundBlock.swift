import WinnowCore
import WinnowWeights

/// A block's products with their places in the workspace filled in: what a step runs.
struct BoundBlock {
    let attentionNorm: BoundNorm
    let attentionInputs: [PreparedInput]
    let queryKeyValue: ProductGroup
    let outputInputs: [PreparedInput]
    let output: ProductGroup
    let feedForwardNorm: BoundNorm
    let feedForwardInputs: [PreparedInput]
    let gateUp: ProductGroup
    let downInputs: [PreparedInput]
    let down: ProductGroup

    init(_ block: TransformerBlock, mode: ActivationMode, in space: RunnerWorkspace) {
        let query = block.attention.query.matrix
        let key = block.attention.key.matrix
        let value = block.attention.value.matrix
        let output = block.attention.output.matrix
        let gate = block.feedForward.gate.matrix
        let up = block.feedForward.up.matrix
        let down = block.feedForward.down.matrix

        attentionNorm = BoundNorm(block.attentionNorm)
        attentionInputs = space.widthInputs.inputs(for: [query, key, value], mode: mode)
        var products = ProductGroup()
        for (matrix, place) in [(query, space.query), (key, space.key), (value, space.value)] {
            products.add(
                matrix, input: space.widthInputs.input(for: matrix, mode: mode), output: place,
                stride: matrix.rows)
        }
        queryKeyValue = products

        outputInputs = space.headsInputs.inputs(for: [output], mode: mode)
        products = ProductGroup()
        products.add(
            output, input: space.headsInputs.input(for: output, mode: mode), output: space.hidden,
            stride: output.rows, epilogue: .add)
        self.output = products

        feedForwardNorm = BoundNorm(block.feedForwardNorm)
        feedForwardInputs = space.widthInputs.inputs(for: [gate, up], mode: mode)
        products = ProductGroup()
        products.add(
            up, input: space.widthInputs.input(for: up, mode: mode), output: space.gated, stride: up.rows,
            epilogue: .gatedSiLU, gate: (gate, space.widthInputs.input(for: gate, mode: mode)))
        gateUp = products

        downInputs = space.gatedInputs.inputs(for: [down], mode: mode)
        products = ProductGroup()
        products.add(
            down, input: space.gatedInputs.input(for: down, mode: mode), output: space.hidden,
            stride: down.rows, epilogue: .add)
        self.down = products
    }

    var scratchBytes: Int {
        max(
            queryKeyValue.scratchBytes, max(output.scratchBytes, max(gateUp.scratchBytes, down.scratchBytes)))
    }
}

/// A norm's weights as float32, held while they are pointed at.
struct BoundNorm {
    private let storage: Storage
    let epsilon: Float

    init(_ norm: RMSNorm) {
        storage = Storage(copying: norm.weight.vector.floats() ?? [])
        epsilon = norm.epsilon
    }

    var weight: UnsafePointer<Float> { storage.base.assumingMemoryBound(to: Float.self) }
}
