import CWinnow

/// Where each token of a batch stands, and the rotation of that place.
public struct RotaryPositions {
    let table: Storage
    let positions: [Int32]
    let headWidth: Int
    /// The first columns of a head, which turn.
    let rotaryWidth: Int
    let isInterleaved: Bool

    /// - Parameter table: row p holds rotaryWidth/2 cosines, then as many sines.
    /// - Parameter positions: the row of each token.
    /// - Parameter rotaryWidth: columns of a head that turn, the first ones; nil: all.
    /// - Parameter isInterleaved: pairs (2i, 2i + 1) turn together; otherwise (i, i + rotaryWidth/2).
    public init(
        table: [Float], positions: [Int32], headWidth: Int, rotaryWidth: Int? = nil, isInterleaved: Bool
    ) {
        let rotaryWidth = rotaryWidth ?? headWidth
        precondition(
            rotaryWidth <= headWidth
                && positions.allSatisfy { $0 >= 0 && (Int($0) + 1) * rotaryWidth <= table.count },
            "positions past a table of \(table.count / rotaryWidth) rows")
        self.rotaryWidth = rotaryWidth
        self.table = Storage(copying: table)
        self.positions = positions
        self.headWidth = headWidth
        self.isInterleaved = isInterleaved
    }

    /// Turns rows in place.
    func apply(
        to x: UnsafeMutablePointer<Float>, heads: Int, backward: Bool, on pool: KernelPool
    ) {
        wn_rope_rows(
            pool.pointer, x, heads * headWidth, heads, headWidth, rotaryWidth, positions.count,
            table.base.assumingMemoryBound(to: Float.self), positions, isInterleaved, backward)
    }
}

extension OpContext {
    /// Turns each head of `[tokens, heads * headWidth]` by the token's position.
    public func rope(_ x: Variable, _ places: RotaryPositions) -> Variable {
        let heads = x.count / places.positions.count / places.headWidth
        precondition(
            heads * places.headWidth * places.positions.count == x.count,
            "\(places.positions.count) positions of heads of \(places.headWidth) for \(x.shape)")
        let out = block(x.count)
        out.base.update(from: x.base, count: x.count)
        places.apply(to: out.base, heads: heads, backward: false, on: pool)
        return output(out, x.shape, records([x]) ? RopeNode(self, x, places, heads: heads) : nil)
    }
}

private final class RopeNode: TapeNode {
    private let places: RotaryPositions
    private let heads: Int

    init(_ context: OpContext, _ x: Variable, _ places: RotaryPositions, heads: Int) {
        self.places = places
        self.heads = heads
        super.init(context, inputs: [x.withoutValue], outputCount: x.count)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let turned = context.block(outputCount)
        turned.base.update(from: gradient.base, count: outputCount)
        places.apply(to: turned.base, heads: heads, backward: true, on: context.pool)
        inputs[0].addGradient(turned, context)
    }

}
