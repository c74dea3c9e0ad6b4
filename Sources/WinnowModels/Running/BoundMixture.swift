import WinnowCore
import WinnowWeights

/// A mixture of experts with its places in the workspace filled in.
struct BoundMixture {
    let choice: Router
    let count: Int
    /// What the router and the shared expert read.
    let inputs: [PreparedInput]
    /// Scores of all experts, and of the shared one its score and its gated activations: one pool job.
    let scores: ProductGroup
    let expertInputs: [PreparedInput]
    let gateUp: GroupedMatmul
    let hiddenInputs: [PreparedInput]
    let down: GroupedMatmul
    let hiddenWidth: Int
    let shared: Shared?

    struct Shared {
        let width: Int
        let downInputs: [PreparedInput]
        let down: ProductGroup
    }

    init(_ mixture: MixtureOfExperts, mode: ActivationMode, in space: RunnerWorkspace) {
        choice = mixture.choice
        count = mixture.experts.count
        let widthMatrices =
            ([mixture.router, mixture.sharedRouter].compactMap(\.self) + (mixture.shared?.inputWeights ?? []))
            .map(\.matrix)
        inputs = space.widthInputs.inputs(for: widthMatrices, mode: mode)
        var products = ProductGroup()
        products.add(Linear(mixture.router), from: space.widthInputs, mode, to: space.expertScores)
        if let sharedRouter = mixture.sharedRouter {
            products.add(Linear(sharedRouter), from: space.widthInputs, mode, to: space.sharedScores)
        }
        if let own = mixture.shared {
            products.add(own, from: space.widthInputs, mode, to: space.gated)
            let down = own.down
            var product = ProductGroup()
            product.add(down, from: space.gatedInputs, mode, to: space.branch)
            shared = Shared(
                width: down.weight.matrix.columns,
                downInputs: space.gatedInputs.inputs(for: [down.weight.matrix], mode: mode), down: product)
        } else {
            shared = nil
        }
        scores = products

        let experts = mixture.experts
        expertInputs = space.expertInputs.inputs(
            for: experts.flatMap { $0.inputWeights.map(\.matrix) }, mode: mode)
        products = ProductGroup()
        for expert in experts { products.add(expert, from: space.expertInputs, mode, to: space.expertHidden) }
        gateUp = GroupedMatmul(products)
        hiddenWidth = experts[0].down.weight.matrix.columns
        hiddenInputs = space.expertHiddenInputs.inputs(for: experts.map(\.down.weight.matrix), mode: mode)
        products = ProductGroup()
        for expert in experts {
            // The sorted inputs have been read by then: the outputs take their place.
            products.add(expert.down, from: space.expertHiddenInputs, mode, to: space.expertRows)
        }
        down = GroupedMatmul(products)
    }

    var scratchBytes: Int {
        max(
            max(scores.scratchBytes, shared?.down.scratchBytes ?? 0),
            max(gateUp.scratchBytes, down.scratchBytes))
    }
}
