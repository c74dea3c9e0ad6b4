import CWinnow
import WinnowCore
import WinnowWeights

/// An optimizer that takes steps of whole parameters.
public protocol ParameterOptimizer: Sendable {
    /// Fresh state for a parameter.
    func makeState(rows: Int, columns: Int, mask: SparsityMask?, layout: StateLayout) -> OptimizerState
    /// One step. Runs on all of the pool; the bits do not depend on how many threads that is.
    ///
    /// - Parameter rate: the learning rate.
    /// - Parameter scale: multiplies every gradient first: clipping and accumulation.
    /// - Parameter decays: whether weight decay applies.
    func step(
        _ slot: ParameterSlot, state: OptimizerState, rate: Double, scale: Float, decays: Bool,
        pool: KernelPool)
}

/// The core of elementwise optimizers: four phases, each run of weights read once and written once.
///
/// a. The gradient, scaled and changed by a ``GradientHook``. b. The first moment. c. A ``MomentTerm`` that
/// joins the first moment for this step, and the second moment with it. d. Second moment, weight decay, step,
/// and a ``PostStepMap``. The hooks are generic parameters: what is not there costs nothing. Without hooks a,
/// c and d the phases are one kernel; with them they share a tile of 1024 weights that stays in the first
/// cache.
///
/// Compressed state holds moments of kept weights only; they are spread out a tile at a time, so that the
/// arithmetic, and with it every bit, is that of dense state.
public struct SparseOptimizer<
    Rule: UpdateRule, Gradient: GradientHook, Term: MomentTerm, Map: PostStepMap
>: ParameterOptimizer {
    public var rule: Rule
    public var gradient: Gradient
    public var term: Term
    public var map: Map

    public init(_ rule: Rule, gradient: Gradient, term: Term, map: Map) {
        self.rule = rule
        self.gradient = gradient
        self.term = term
        self.map = map
    }

    public func makeState(
        rows: Int, columns: Int, mask: SparsityMask?, layout: StateLayout
    ) -> OptimizerState {
        OptimizerState(
            rows: rows, columns: columns, layout: mask == nil ? .dense : layout, mask: mask,
            moments: rule.moments)
    }

    public func step(
        _ slot: ParameterSlot, state: OptimizerState, rate: Double, scale: Float = 1, decays: Bool = true,
        pool: KernelPool
    ) {
        precondition(
            state.rows == slot.rows && state.columns == slot.columns,
            "state of [\(state.rows), \(state.columns)] for a parameter of [\(slot.rows), \(slot.columns)]")
        precondition(
            state.layout == .dense || (Map.keepsMask && state.isOf(slot.mask)),
            "compressed state of another mask: adopt the new one first")
        state.steps += 1
        let grid = TileGrid(rows: slot.rows, columns: slot.columns, byRow: slot.mask != nil)
        // A gradient hook is given scaled gradients.
        let constants = rule.constants(
            step: state.steps, rate: rate, scale: Gradient.isIdentity ? scale : 1, decays: decays)
        let pass = TilePass(
            optimizer: self, slot: slot, state: state, first: state["first"]?.base,
            second: state["second"]?.base,
            constants: constants, scale: scale, rate: Float(rate))
        let isWhole = Gradient.isIdentity && Term.isNone && Map.isIdentity && state.layout == .dense
        pool.run(chunks: grid.chunks) { chunk, _ in
            if isWhole {
                grid.forEachRun(of: chunk) { row, columns in
                    pass.whole(row: row, rowLength: grid.columns, columns)
                }
            } else {
                let tile = TileGrid.tileElements
                withUnsafeTemporaryAllocation(of: Float.self, capacity: 4 * tile) { scratch in
                    grid.forEachRun(of: chunk) { row, columns in
                        pass.tiles(row: row, rowLength: grid.columns, columns, scratch: scratch.baseAddress!)
                    }
                }
            }
        }
    }
}

/// One step of one parameter, seen from inside the pool.
private struct TilePass<Rule: UpdateRule, Gradient: GradientHook, Term: MomentTerm, Map: PostStepMap> {
    let optimizer: SparseOptimizer<Rule, Gradient, Term, Map>
    let slot: ParameterSlot
    let state: OptimizerState
    let first: UnsafeMutablePointer<Float>?
    let second: UnsafeMutablePointer<Float>?
    let constants: Rule.Constants
    let scale: Float
    let rate: Float

    private func bits(_ row: Int, _ column: Int) -> UnsafePointer<UInt8>? {
        slot.mask.map { $0.row(row) + column / 8 }
    }

    /// A run of a row, state where it lies.
    func whole(row: Int, rowLength: Int, _ columns: Range<Int>) {
        let start = row * rowLength + columns.lowerBound
        optimizer.rule.pass(
            OptimizerTile(
                values: slot.values + start, gradients: UnsafePointer(slot.gradients + start),
                first: first.map { $0 + start }, second: second.map { $0 + start },
                bits: Map.keepsMask ? bits(row, columns.lowerBound) : nil, count: columns.count), constants)
    }

    /// A run of a row, tile by tile.
    ///
    /// - Parameter scratch: four tiles: two of state, the term, the gradients.
    func tiles(row: Int, rowLength: Int, _ columns: Range<Int>, scratch: UnsafeMutablePointer<Float>) {
        let size = TileGrid.tileElements
        for column in stride(from: columns.lowerBound, to: columns.upperBound, by: size) {
            let start = row * rowLength + column
            var tile = OptimizerTile(
                values: slot.values + start, gradients: UnsafePointer(slot.gradients + start),
                first: first.map { $0 + start }, second: second.map { $0 + start }, bits: bits(row, column),
                count: min(size, columns.upperBound - column))
            let packed = state.layout == .compressed ? state.start(row: row, column: column) : nil
            if let packed, let bits = tile.bits {
                if let first {
                    tile.first = scratch
                    wn_expand_kept(first + packed, bits, scratch, tile.count)
                }
                if let second {
                    tile.second = scratch + size
                    wn_expand_kept(second + packed, bits, scratch + size, tile.count)
                }
            }
            phases(&tile, term: scratch + 2 * size, gradients: scratch + 3 * size)
            if let packed, let bits = tile.bits {
                if let first { wn_pack_kept(tile.first, bits, first + packed, tile.count) }
                if let second { wn_pack_kept(tile.second, bits, second + packed, tile.count) }
            }
        }
    }

    private func phases(
        _ tile: inout OptimizerTile, term: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
    ) {
        if !Gradient.isIdentity {
            for i in 0..<tile.count { gradients[i] = tile.gradients[i] * scale }
            optimizer.gradient.apply(gradients, tile)
            tile.gradients = UnsafePointer(gradients)
        }
        var ruled = tile
        if !Map.keepsMask { ruled.bits = nil }
        if Term.isNone {
            optimizer.rule.pass(ruled, constants)
        } else {
            optimizer.rule.moment(ruled, term: term, constants)
            optimizer.term.apply(term, tile)
            optimizer.rule.finish(ruled, term: term, constants)
        }
        if !Map.isIdentity {
            optimizer.map.apply(tile, rate: rate)
        }
    }
}

/// The optimizers without hooks of their own: pruned weights stay zero.
public typealias AdamW = SparseOptimizer<AdamRule, PlainGradient, NoMomentTerm, KeepMask>
public typealias SGD = SparseOptimizer<SGDRule, PlainGradient, NoMomentTerm, KeepMask>
public typealias Lion = SparseOptimizer<LionRule, PlainGradient, NoMomentTerm, KeepMask>

extension SparseOptimizer where Gradient == PlainGradient, Term == NoMomentTerm, Map == KeepMask {
    public init(_ rule: Rule) {
        self.init(rule, gradient: PlainGradient(), term: NoMomentTerm(), map: KeepMask())
    }
}

extension SparseOptimizer where Gradient == PlainGradient, Map == MovePruned {
    /// An optimizer of papers in which pruned weights move under a term.
    public init(_ rule: Rule, term: Term) {
        self.init(rule, gradient: PlainGradient(), term: term, map: MovePruned())
    }
}

extension SparseOptimizer where Term == NoMomentTerm, Map == MovePruned {
    public init(_ rule: Rule, gradient: Gradient) {
        self.init(rule, gradient: gradient, term: NoMomentTerm(), map: MovePruned())
    }
}

extension SparseOptimizer where Gradient == PlainGradient, Term == NoMomentTerm {
    public init(_ rule: Rule, map: Map) {
        self.init(rule, gradient: PlainGradient(), term: NoMomentTerm(), map: map)
    }
}
