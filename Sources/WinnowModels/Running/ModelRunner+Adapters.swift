import CWinnow
import WinnowCore
import WinnowIO
import WinnowWeights

/// What adapters need beside a runner's workspace: made with the first sequence that has one.
final class AdapterWorkspace {
    /// Normalised rows, which a fused step leaves nowhere.
    let normed: Buffer<Float>
    /// Gate and up before they are put together.
    let gate: Buffer<Float>
    let up: Buffer<Float>
    /// A x.
    var low: Buffer<Float>
    var products: Buffer<UInt8>
    /// Gate and up of each block, apart.
    let gateUps: [ProductGroup?]

    init(_ runner: ModelRunner, rank: Int) {
        let shape = runner.model.configuration
        let tokens = runner.configuration.chunk
        let width = shape.widestLayer.feedForwardWidth
        normed = Buffer(count: tokens * shape.width)
        gate = Buffer(count: shape.traits.isGated ? tokens * width : 0)
        up = Buffer(count: tokens * width)
        low = Buffer(count: tokens * rank)
        products = Buffer(count: wn_gemm_workspace(runner.pool.pointer))
        let inputs = runner.space.widthInputs
        let mode = runner.configuration.activations
        let (gateBase, upBase) = (gate.base, up.base)
        gateUps = runner.model.blocks.map { block in
            guard let feedForward = block.feedForward else { return nil }
            var group = ProductGroup()
            if let gate = feedForward.gate { group.add(gate, from: inputs, mode, to: gateBase) }
            group.add(feedForward.up, from: inputs, mode, to: upBase)
            return group
        }
    }

    var byteCount: Int { 4 * (normed.count + gate.count + up.count + low.count) + products.count }
}

extension ModelRunner {
    /// Whether a sequence of the step has an adapter; makes room for it.
    func prepareAdapters() -> Bool {
        var rank = 0
        for span in spans {
            guard let adapter = span.sequence.adapter else { continue }
            precondition(
                adapter.model == ObjectIdentifier(model), "adapter \(adapter.name) is for another model")
            rank = max(rank, adapter.highestRank)
        }
        guard rank > 0 else { return false }
        if adapters.map({ $0.low.count < rank * configuration.chunk }) ?? true {
            adapters = AdapterWorkspace(self, rank: rank)
        }
        return true
    }

    /// Adds B (A x) of each sequence's adapter to what a linear made of its rows.
    ///
    /// - Parameter x: rows of the step, as wide as the linear's columns, without gaps.
    /// - Parameter out: rows as wide as its outputs.
    private func addAdapters(
        of linear: Linear, _ x: UnsafePointer<Float>, to out: UnsafeMutablePointer<Float>
    ) {
        guard let adapters else { return }
        let outputs = linear.outputs
        for span in spans {
            guard let own = span.sequence.adapter?.factors[linear.weight.name] else { continue }
            let first = (linear.rows?.lowerBound ?? 0) * own.rank
            let (down, up) = (
                own.down.base.assumingMemoryBound(to: Float.self),
                own.up.base.assumingMemoryBound(to: Float.self) + first
            )
            let low = adapters.low.base
            wn_gemm_f32(
                pool.pointer, adapters.products.base, span.count, own.rank, own.inputs,
                view(x + span.firstRow * own.inputs, columns: own.inputs),
                transposed(down, columns: own.inputs), low, own.rank, false)
            wn_gemm_f32(
                pool.pointer, adapters.products.base, span.count, outputs, own.rank,
                view(low, columns: own.rank), transposed(up, columns: own.rank),
                out + span.firstRow * outputs, outputs, true)
        }
    }

    private func changes(_ linears: [Linear]) -> Bool {
        spans.contains { span in
            guard let factors = span.sequence.adapter?.factors else { return false }
            return linears.contains { factors[$0.weight.name] != nil }
        }
    }

    private func normed(_ norm: BoundNorm?) -> UnsafePointer<Float> {
        guard let norm, let adapters else { return UnsafePointer(space.hidden) }
        let width = model.configuration.width
        let (from, to) = (space.hidden, adapters.normed.base)
        pool.inRows(rows) { range in
            let offset = range.lowerBound * width
            norm.apply(from + offset, into: to + offset, rows: range.count, columns: width)
        }
        return UnsafePointer(to)
    }

    /// Queries, keys and values: before rotary positions, from the residual as it stands.
    func adaptAttention(_ index: Int) {
        let attention = model.blocks[index].attention
        guard changes([attention.query, attention.key, attention.value]) else { return }
        let x = normed(blocks[index].attentionNorm)
        for (linear, place) in [
            (attention.query, space.query), (attention.key, space.key), (attention.value, space.value),
        ] { addAdapters(of: linear, x, to: place) }
    }

    /// A branch's output, where its product has put it.
    func adaptOutput(_ linear: Linear, _ x: UnsafePointer<Float>, isJoining: Bool) {
        addAdapters(of: linear, x, to: isJoining ? space.hidden : space.branch)
    }

    /// Runs gate and up: apart for sequences whose adapter changes one of them, as ever for all others.
    func runAdaptedGateUp(_ index: Int, _ bound: BoundFeedForward) {
        guard let adapters, let group = adapters.gateUps[index],
            let feedForward = model.blocks[index].feedForward
        else { return bound.gateUp.run(on: pool) }
        let linears = [feedForward.gate, feedForward.up].compactMap { $0 }
        guard changes(linears) else { return bound.gateUp.run(on: pool) }
        func isChanged(_ span: Span) -> Bool {
            guard let factors = span.sequence.adapter?.factors else { return false }
            return linears.contains { factors[$0.weight.name] != nil }
        }
        if !spans.allSatisfy(isChanged) { bound.gateUp.run(on: pool) }
        group.run(on: pool)
        let x = normed(blocks[index].feedForwardNorm)
        if let gate = feedForward.gate { addAdapters(of: gate, x, to: adapters.gate.base) }
        addAdapters(of: feedForward.up, x, to: adapters.up.base)
        for span in spans where isChanged(span) {
            let (offset, count) = (span.firstRow * bound.width, span.count * bound.width)
            let up = adapters.up.base + offset
            wn_gate_forward(
                pool.pointer, feedForward.activation.gateKind.code,
                feedForward.gate == nil ? up : adapters.gate.base + offset,
                feedForward.gate == nil ? nil : up, space.gated + offset, count)
        }
    }
}
