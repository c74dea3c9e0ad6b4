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
    /// Inputs in the order of their experts, later the experts' outputs; with the next four empty without experts.
    let expertRows: UnsafeMutablePointer<Float>
    let expertHidden: UnsafeMutablePointer<Float>
    let expertScores: UnsafeMutablePointer<Float>
    let sharedScores: UnsafeMutablePointer<Float>
    let dispatch: ExpertDispatch
    let logits: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<Int32>
    let attentionRows: UnsafeMutablePointer<wn_attention_row>
    let widthInputs: InputSet
    let headsInputs: InputSet
    let gatedInputs: InputSet
    let logitInputs: InputSet
    /// Of images: empty in models of text.
    let patchInputs: InputSet
    let expertInputs: InputSet
    let expertHiddenInputs: InputSet

    /// - Parameter tokens: the most tokens of a step.
    /// - Parameter logitRows: the most rows of logits at once.
    init(model: LanguageModel, mode: ActivationMode, tokens: Int, logitRows: Int) {
        let shape = model.configuration
        let widest = shape.widestLayer
        let headsWidth = widest.heads * shape.headWidth
        let keyWidth = widest.keyValueHeads * shape.headWidth
        let arena = arena
        let experts = shape.traits.experts
        let pairs = tokens * (experts?.used ?? 0)
        // Normalised rows too stand there while they are observed.
        let gatedWidth = max(widest.feedForwardWidth, experts?.sharedWidth ?? 0, shape.width)
        let traits = shape.traits
        let usesBranch =
            traits.norm == .layer || traits.hasSandwichNorms || experts != nil || traits.residualScale != 1
            || !traits.hasHead || traits.image != nil
        let logitCount = traits.hasHead ? logitRows : 0
        let regions = (
            hidden: arena.reserve(floats: tokens * shape.width),
            query: arena.reserve(floats: tokens * headsWidth),
            key: arena.reserve(floats: tokens * keyWidth),
            value: arena.reserve(floats: tokens * keyWidth),
            heads: arena.reserve(floats: tokens * headsWidth),
            gated: arena.reserve(floats: tokens * gatedWidth),
            branch: arena.reserve(floats: usesBranch ? max(tokens, logitRows) * shape.width : 0),
            gathered: arena.reserve(floats: logitRows * shape.width),
            logits: arena.reserve(floats: logitCount * shape.vocabularySize),
            positions: arena.reserve(bytes: tokens * MemoryLayout<Int32>.stride),
            rows: arena.reserve(bytes: tokens * MemoryLayout<wn_attention_row>.stride),
            expertRows: arena.reserve(floats: pairs * shape.width),
            expertHidden: arena.reserve(floats: pairs * (experts?.width ?? 0)),
            expertScores: arena.reserve(floats: experts == nil ? 0 : tokens * widest.experts),
            sharedScores: arena.reserve(floats: experts == nil ? 0 : tokens)
        )
        func plan(_ matrices: [WeightMatrix], _ capacity: Int) -> InputSet.Plan {
            InputSet.Plan(for: matrices, mode: mode, capacity: capacity, in: arena)
        }
        let blocks = model.blocks
        let plans = (
            width: plan(
                blocks.flatMap { block in
                    let mixture = block.mixture
                    return block.attention.inputWeights + (block.feedForward?.inputWeights ?? [])
                        + [mixture?.router, mixture?.sharedRouter].compactMap(\.self)
                        + (mixture?.shared?.inputWeights ?? [])
                }.map(\.matrix), tokens),
            heads: plan(blocks.map(\.attention.output.weight.matrix), tokens),
            gated: plan(
                blocks.compactMap { ($0.feedForward ?? $0.mixture?.shared)?.down.weight.matrix }, tokens),
            logits: plan(traits.hasHead ? [model.headMatrix] : [], logitRows),
            patches: plan(traits.image == nil ? [] : [model.embedding.matrix], tokens),
            experts: plan(
                blocks.flatMap { $0.mixture?.experts.flatMap(\.inputWeights) ?? [] }.map(\.matrix), pairs),
            expertHidden: plan(
                blocks.flatMap { $0.mixture?.experts.map(\.down.weight) ?? [] }.map(\.matrix), pairs)
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
        patchInputs = InputSet(plans.patches, in: arena)
        expertRows = arena.floats(regions.expertRows)
        expertHidden = arena.floats(regions.expertHidden)
        expertScores = arena.floats(regions.expertScores)
        sharedScores = arena.floats(regions.sharedScores)
        dispatch = ExpertDispatch(pairs: pairs, experts: widest.experts)
        expertInputs = InputSet(plans.experts, in: arena)
        expertHiddenInputs = InputSet(plans.expertHidden, in: arena)
    }
}
