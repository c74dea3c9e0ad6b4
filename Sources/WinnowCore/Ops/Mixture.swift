import CWinnow

/// Rows that are added to others: row r goes to row `targets[r]`, times weight `weights[r]`.
public struct WeightedRows {
    let rows: Variable
    let targets: [Int32]
    let weights: [Int32]

    /// - Parameter rows: `[targets.count, width]`.
    /// - Parameter weights: places of each row's weight among those that ``OpContext/adding(_:to:weights:)`` is given.
    public init(_ rows: Variable, targets: [Int32], weights: [Int32]) {
        precondition(
            targets.count == weights.count && !targets.isEmpty && rows.count % targets.count == 0,
            "rows of \(rows.shape) to \(targets.count) others with \(weights.count) weights")
        self.rows = rows
        self.targets = targets
        self.weights = weights
    }
}

extension OpContext {
    /// What the experts that were chosen for each token count: their probabilities, softmax over all scores of the
    /// token, or those divided by their sum.
    ///
    /// The choice itself has no slope: gradients flow through the weights alone, as everywhere.
    ///
    /// - Parameter scores: `[tokens, experts]`.
    /// - Parameter chosen: `used` experts for each token.
    /// - Returns: `[tokens * used]`, in the order of `chosen`.
    /// - Source: Mixtral, arXiv 2401.04088, section 2.1, where the weights of the chosen are divided by their sum.
    public func expertWeights(
        _ scores: Variable, chosen: [Int32], used: Int, renormalises: Bool
    ) -> Variable {
        let tokens = chosen.count / used
        let experts = scores.count / max(tokens, 1)
        precondition(
            tokens * used == chosen.count && tokens * experts == scores.count
                && chosen.allSatisfy { $0 >= 0 && $0 < experts },
            "\(chosen.count) choices, \(used) a token, for scores of \(scores.shape)")
        let probabilities = block(scores.count)
        probabilities.base.update(from: scores.base, count: scores.count)
        let out = block(chosen.count)
        for token in 0..<tokens {
            let own = probabilities.base + token * experts
            wn_softmax(own, experts)
            var sum: Float = 0
            for slot in token * used..<(token + 1) * used {
                out.base[slot] = own[Int(chosen[slot])]
                sum += out.base[slot]
            }
            guard renormalises else { continue }
            for slot in token * used..<(token + 1) * used { out.base[slot] /= sum }
        }
        let node =
            records([scores])
            ? ExpertWeightsNode(
                self, scores, probabilities, chosen: chosen, used: used, renormalises: renormalises) : nil
        return output(out, [chosen.count], node)
    }

    /// x + sum over parts and their rows r of weights[part.weights[r]] * rows[r], at row part.targets[r].
    ///
    /// - Parameter x: `[tokens, width]`.
    public func adding(_ parts: [WeightedRows], to x: Variable, weights: Variable) -> Variable {
        let out = block(x.count)
        out.base.update(from: x.base, count: x.count)
        for part in parts {
            let width = part.rows.count / part.targets.count
            precondition(x.count % width == 0, "rows of \(width) added to \(x.shape)")
            for row in part.targets.indices {
                add(
                    part.rows.base + row * width, scale: weights.base[Int(part.weights[row])],
                    to: out.base + Int(part.targets[row]) * width, count: width)
            }
        }
        let node =
            records([x, weights] + parts.map(\.rows)) ? WeightedRowsNode(self, x, weights, parts) : nil
        return output(out, x.shape, node)
    }
}

private final class ExpertWeightsNode: TapeNode {
    private var probabilities: FloatBlock?
    private let chosen: [Int32]
    private let used: Int
    private let renormalises: Bool

    init(
        _ context: OpContext, _ scores: Variable, _ probabilities: FloatBlock, chosen: [Int32], used: Int,
        renormalises: Bool
    ) {
        self.probabilities = probabilities
        self.chosen = chosen
        self.used = used
        self.renormalises = renormalises
        super.init(context, inputs: [scores.withoutValue], outputCount: chosen.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let experts = probabilities!.count / (chosen.count / used)
        inputs[0].addGradient(context) { into, adding in
            for token in 0..<chosen.count / used {
                let own = probabilities!.base + token * experts
                let slots = token * used..<(token + 1) * used
                // d/ds of w = p / sum of the chosen p is w (1[chosen] - w); without the sum p (1[i = j] - p).
                var (sum, mean) = (Float(0), Float(0))
                for slot in slots { sum += own[Int(chosen[slot])] }
                let scale = renormalises ? 1 / sum : 1
                for slot in slots { mean += gradient.base[slot] * own[Int(chosen[slot])] * scale }
                let to = into + token * experts
                for expert in 0..<experts {
                    let common = renormalises ? 0 : -own[expert] * mean
                    to[expert] = adding ? to[expert] + common : common
                }
                for slot in slots {
                    let weight = own[Int(chosen[slot])] * scale
                    to[Int(chosen[slot])] += weight * (gradient.base[slot] - (renormalises ? mean : 0))
                }
            }
        }
    }

    override func release() {
        super.release()
        probabilities = nil
    }
}

private final class WeightedRowsNode: TapeNode {
    private let parts: [(targets: [Int32], weights: [Int32])]

    init(_ context: OpContext, _ x: Variable, _ weights: Variable, _ parts: [WeightedRows]) {
        self.parts = parts.map { ($0.targets, $0.weights) }
        super.init(
            context, inputs: [x.withoutValue, weights] + parts.map(\.rows), outputCount: x.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let weights = inputs[1]
        for (index, part) in parts.enumerated() {
            let rows = inputs[index + 2]
            let width = rows.count / part.targets.count
            rows.addGradient(context) { into, adding in
                if !adding { into.update(repeating: 0, count: rows.count) }
                for row in part.targets.indices {
                    context.add(
                        gradient.base + Int(part.targets[row]) * width,
                        scale: weights.base[Int(part.weights[row])], to: into + row * width, count: width)
                }
            }
        }
        weights.addGradient(context) { into, adding in
            if !adding { into.update(repeating: 0, count: weights.count) }
            for (index, part) in parts.enumerated() {
                let rows = inputs[index + 2]
                let width = rows.count / part.targets.count
                for row in part.targets.indices {
                    var product: Float = 0
                    // One row times one column: a product of its own.
                    context.multiply(
                        view(gradient.base + Int(part.targets[row]) * width, columns: width),
                        transposed(rows.base + row * width, columns: width), rows: 1, columns: 1,
                        depth: width, into: &product, stride: 1, adding: false)
                    into[Int(part.weights[row])] += product
                }
            }
        }
        inputs[0].addGradient(gradient, context)
    }
}
