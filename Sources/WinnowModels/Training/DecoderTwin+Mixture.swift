import WinnowCore

extension DecoderTwin {
    /// residual + sum over the chosen e of weight_e * expert_e(x), and sigmoid(g x) * shared(x) beside.
    ///
    /// No loss keeps experts equally busy: a fine-tuned router keeps the balance that it has, or loses it.
    func mix(_ x: Variable, _ mixture: MixtureOfExperts, addedTo residual: Variable) -> Variable {
        let scores = linear(x, Linear(mixture.router))
        let used = mixture.choice.used
        let chosen = mixture.choice.chosen(scores.value, experts: mixture.experts.count)
        let weights = context.expertWeights(
            scores, chosen: chosen, used: used, renormalises: mixture.choice.renormalises)
        var parts: [WeightedRows] = []
        for (index, expert) in mixture.experts.enumerated() {
            let pairs = chosen.indices.filter { chosen[$0] == Int32(index) }
            guard !pairs.isEmpty else { continue }
            let tokens = pairs.map { Int32($0 / used) }
            let rows = context.embedding(x, ids: tokens)
            parts.append(
                WeightedRows(
                    linear(gated(rows, expert), expert.down), targets: tokens,
                    weights: pairs.map { Int32($0) }))
        }
        let out = context.adding(parts, to: residual, weights: weights)
        guard let shared = mixture.shared, let router = mixture.sharedRouter else { return out }
        let all = (0..<Int32(chosen.count / used)).map { $0 }
        return context.adding(
            [WeightedRows(linear(gated(x, shared), shared.down), targets: all, weights: all)], to: out,
            weights: context.sigmoid(linear(x, Linear(router))))
    }
}

extension Router {
    /// The experts of each token, the most probable first.
    ///
    /// - Parameter scores: `[tokens, experts]`.
    fileprivate func chosen(_ scores: Tensor, experts: Int) -> [Int32] {
        let tokens = scores.count / experts
        var chosen = [Int32](repeating: 0, count: tokens * used)
        var weights = [Float](repeating: 0, count: used)
        // Softmax keeps the order, so scores moved to positive values choose as probabilities do: what is chosen is
        // marked by -1.
        var row = [Float](repeating: 0, count: experts)
        for token in 0..<tokens {
            let from = scores.floatBase + token * experts
            let least = (0..<experts).reduce(Float.infinity) { min($0, from[$1]) }
            for expert in 0..<experts { row[expert] = from[expert] - least }
            row.withUnsafeMutableBufferPointer { row in
                chosen.withUnsafeMutableBufferPointer {
                    choose(row, experts: $0.baseAddress! + token * used, weights: &weights)
                }
            }
        }
        return chosen
    }
}
