import CWinnow
import WinnowCore
import WinnowWeights

/// Everything a step writes, planned for the largest step: activations in float32, prepared inputs, logits.
struct RunnerWorkspace {
    let arena = Workspace()
    let hidden: UnsafeMutablePointer<Float>
    let query: UnsafeMutablePointer<Float>
    let key: UnsafeMutablePointer<Float>
    let value: UnsafeMutablePointer<Float>
    let heads: UnsafeMutablePointer<Float>
    let gated: UnsafeMutablePointer<Float>
    /// A branch's input after a layer norm, or its output before a norm of its own; empty in families without.
    let branch: UnsafeMutablePointer<Float>
    let gathered: UnsafeMutablePointer<Float>
    let logits: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<Int32>
    let attentionRows: UnsafeMutablePointer<wn_attention_row>
    let widthInputs: InputSet
    let headsInputs: InputSet
    let gatedInputs: InputSet
    let logitInputs: InputSet

    /// - Parameter tokens: the most tokens of a step.
    /// - Parameter logitRows: the most rows of logits at once.
    init(model: LanguageModel, mode: ActivationMode, tokens: Int, logitRows: Int) {
        let shape = model.configuration
        let headsWidth = shape.heads * shape.headWidth
        let keyWidth = shape.keyValueHeads * shape.headWidth
        let arena = arena
        let usesBranch = shape.traits.norm == .layer || shape.traits.hasSandwichNorms
        let regions = (
            hidden: arena.reserve(floats: tokens * shape.width),
            query: arena.reserve(floats: tokens * headsWidth),
            key: arena.reserve(floats: tokens * keyWidth),
            value: arena.reserve(floats: tokens * keyWidth),
            heads: arena.reserve(floats: tokens * headsWidth),
            gated: arena.reserve(floats: tokens * shape.feedForwardWidth),
            branch: arena.reserve(floats: usesBranch ? max(tokens, logitRows) * shape.width : 0),
            gathered: arena.reserve(floats: logitRows * shape.width),
            logits: arena.reserve(floats: logitRows * shape.vocabularySize),
            positions: arena.reserve(bytes: tokens * MemoryLayout<Int32>.stride),
            rows: arena.reserve(bytes: tokens * MemoryLayout<wn_attention_row>.stride)
        )
        func plan(_ matrices: [WeightMatrix], _ capacity: Int) -> InputSet.Plan {
            InputSet.Plan(for: matrices, mode: mode, capacity: capacity, in: arena)
        }
        let blocks = model.blocks
        let plans = (
            width: plan(
                blocks.flatMap { block in
                    (block.attention.inputWeights + block.feedForward.inputWeights).map(\.matrix)
                }, tokens),
            heads: plan(blocks.map(\.attention.output.weight.matrix), tokens),
            gated: plan(blocks.map(\.feedForward.down.weight.matrix), tokens),
            logits: plan([model.headMatrix], logitRows)
        )
        arena.commit()
        hidden = arena.floats(regions.hidden)
        query = arena.floats(regions.query)
        key = arena.floats(regions.key)
        value = arena.floats(regions.value)
        heads = arena.floats(regions.heads)
        gated = arena.floats(regions.gated)
        branch = arena.floats(regions.branch)
        gathered = arena.floats(regions.gathered)
        logits = arena.floats(regions.logits)
        positions = arena.pointer(regions.positions).assumingMemoryBound(to: Int32.self)
        attentionRows = arena.pointer(regions.rows).assumingMemoryBound(to: wn_attention_row.self)
        widthInputs = InputSet(plans.width, in: arena)
        headsInputs = InputSet(plans.heads, in: arena)
        gatedInputs = InputSet(plans.gated, in: arena)
        logitInputs = InputSet(plans.logits, in: arena)
    }
}
