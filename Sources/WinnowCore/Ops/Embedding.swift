extension OpContext {
    /// Rows of a table, times a scale; added to `x` where that is given (positions).
    ///
    /// - Parameter table: `[rows, width]`.
    /// - Parameter ids: a row for each token.
    public func embedding(_ table: Variable, ids: [Int32], scale: Float = 1, addedTo x: Variable? = nil)
        -> Variable
    {
        let width = table.shape[1]
        let out = block(ids.count * width)
        for (token, id) in ids.enumerated() {
            precondition(id >= 0 && id < table.shape[0], "row \(id) of a table of \(table.shape)")
            let row = table.base + Int(id) * width
            let to = out.base + token * width
            if let x {
                let from = x.base + token * width
                for column in 0..<width { to[column] = from[column] + scale * row[column] }
            } else {
                for column in 0..<width { to[column] = scale * row[column] }
            }
        }
        let node = records([table, x]) ? EmbeddingNode(self, table, x, ids: ids, scale: scale) : nil
        return output(out, [ids.count, width], node)
    }
}

private final class EmbeddingNode: TapeNode {
    private let ids: [Int32]
    private let scale: Float

    init(_ context: OpContext, _ table: Variable, _ x: Variable?, ids: [Int32], scale: Float) {
        self.ids = ids
        self.scale = scale
        super.init(
            context, inputs: [table] + (x.map { [$0.withoutValue] } ?? []),
            outputCount: ids.count * table.shape[1])
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let table = inputs[0]
        let width = table.shape[1]
        table.addGradient(context) { into, adding in
            if !adding { into.update(repeating: 0, count: table.count) }
            // In order of tokens: a row that comes twice has one order of additions.
            for (token, id) in ids.enumerated() {
                context.add(
                    gradient.base + token * width, scale: scale, to: into + Int(id) * width, count: width)
            }
        }
        if inputs.count > 1 { inputs[1].addGradient(gradient, context) }
    }
}
