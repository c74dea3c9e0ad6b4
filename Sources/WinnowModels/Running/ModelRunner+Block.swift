import CWinnow
import WinnowCore
import WinnowIO
import WinnowWeights

extension ModelRunner {
    /// Runs one block over the step's rows: x += attention(norm(x)); x += feedForward(norm(x)).
    ///
    /// - Parameter lastTap: ends there, leaving out what no tap up to it sees; nil: the whole block.
    func runBlock(_ index: Int, observer: ((TapValues) -> Void)?, lastTap: TapPoint? = nil) {
        let block = blocks[index]
        let shape = model.configuration
        let isParallel = shape.traits.isParallel
        // A parallel block makes its points in another order: it ends only before its last product.
        let lastStage = lastTap.map { isParallel ? TapPoint.feedForwardHidden.stage : $0.stage } ?? .max
        if let observer { observeNormed(.attentionInput, block.attentionNorm, observer) }
        if lastStage == TapPoint.attentionInput.stage { return }
        fill(block.attentionInputs, space.hidden, norm: block.attentionNorm, rows: rows)
        stepClock?.lap(.inputs, block: index)
        block.queryKeyValue.run(on: pool)
        let hasAdapters = prepareAdapters()
        if hasAdapters { adaptAttention(index) }
        stepClock?.lap(.queryKeyValue, block: index)
        // Both branches of a parallel block read the residual as it was.
        if isParallel { runGateUp(index, block, observer, hasAdapters: hasAdapters) }
        storeKeysAndValues(layer: index)
        stepClock?.lap(.positions, block: index)
        attend(layer: index)
        stepClock?.lap(.attention, block: index)

        let headsWidth = shape.shape(ofLayer: index).heads * shape.headWidth
        if let observer { observe(.attentionOutput, space.heads, headsWidth, rows: rows, observer) }
        if lastStage == TapPoint.attentionOutput.stage { return }
        for input in block.outputInputs {
            input.fill(space.heads, stride: headsWidth, tokens: rows, on: pool)
        }
        stepClock?.lap(.inputs, block: index)
        block.output.run(on: pool)
        let isScaled = shape.traits.residualScale != 1
        if hasAdapters {
            adaptOutput(
                model.blocks[index].attention.output, space.heads,
                isJoining: block.postAttentionNorm == nil && !isScaled)
        }
        stepClock?.lap(.attentionOutput, block: index)
        join(block.postAttentionNorm)
        if let norm = block.attentionResidualNorm { normalise(norm) }

        if let mixture = block.mixture {
            runMixture(
                mixture, layer: index, norm: block.feedForwardNorm, observer: observer, lastStage: lastStage)
            return
        }
        guard let feedForward = block.feedForward else { return }
        if !isParallel {
            runGateUp(index, block, observer, lastStage: lastStage, hasAdapters: hasAdapters)
        }
        if lastStage <= TapPoint.feedForwardHidden.stage { return }
        for input in feedForward.downInputs {
            input.fill(space.gated, stride: feedForward.width, tokens: rows, on: pool)
        }
        stepClock?.lap(.inputs, block: index)
        feedForward.down.run(on: pool)
        if hasAdapters, let down = model.blocks[index].feedForward?.down {
            adaptOutput(down, space.gated, isJoining: block.postFeedForwardNorm == nil && !isScaled)
        }
        stepClock?.lap(.down, block: index)
        join(block.postFeedForwardNorm)
        if let norm = block.feedForwardResidualNorm { normalise(norm) }
        stepClock?.lap(.inputs, block: index)
    }

    private func runGateUp(
        _ index: Int, _ block: BoundBlock, _ observer: ((TapValues) -> Void)?, lastStage: Int = .max,
        hasAdapters: Bool
    ) {
        guard let feedForward = block.feedForward else { return }
        if let observer { observeNormed(.feedForwardInput, block.feedForwardNorm, observer) }
        if lastStage == TapPoint.feedForwardInput.stage { return }
        fill(feedForward.inputs, space.hidden, norm: block.feedForwardNorm, rows: rows)
        stepClock?.lap(.inputs, block: index)
        if hasAdapters { runAdaptedGateUp(index, feedForward) } else { feedForward.gateUp.run(on: pool) }
        stepClock?.lap(.gateUp, block: index)
        if let observer { observe(.feedForwardHidden, space.gated, feedForward.width, rows: rows, observer) }
    }

    /// Fills inputs from rows of the model's width, normalised where there is a norm.
    func fill(
        _ inputs: [PreparedInput], _ x: UnsafeMutablePointer<Float>, norm: BoundNorm?, rows: Int
    ) {
        let width = model.configuration.width
        guard let norm else {
            for input in inputs { input.fill(x, stride: width, tokens: rows, on: pool) }
            return
        }
        norm.fill(inputs, x, rows: rows, columns: width, place: space.branch, on: pool)
    }

    /// Adds a branch to the residual through its norm and scale; without either the product has added it.
    private func join(_ norm: BoundNorm?) {
        let scale = model.configuration.traits.residualScale
        guard norm != nil || scale != 1 else { return }
        let width = model.configuration.width
        pool.inRows(rows) { range in
            let offset = range.lowerBound * width
            norm?.apply(space.branch + offset, into: space.branch + offset, rows: range.count, columns: width)
            if scale == 1 {
                wn_add(space.hidden + offset, space.branch + offset, range.count * width)
            } else {
                wn_add_scaled(space.hidden + offset, space.branch + offset, scale, range.count * width)
            }
        }
    }

    /// Normalises the residual in place.
    private func normalise(_ norm: BoundNorm) {
        let width = model.configuration.width
        pool.inRows(rows) { range in
            let base = space.hidden + range.lowerBound * width
            norm.apply(base, into: base, rows: range.count, columns: width)
        }
    }

    func observe(
        _ point: TapPoint, _ base: UnsafePointer<Float>, _ width: Int, rows: Int,
        _ observer: (TapValues) -> Void
    ) {
        observer(TapValues(point: point, base: base, stride: width, tokens: rows, width: width))
    }

    /// The normalised values have no place of their own in a fused step: the primitive op makes them, in the
    /// place of the gated activations, which are written only later.
    private func observeNormed(_ point: TapPoint, _ norm: BoundNorm?, _ observer: (TapValues) -> Void) {
        let width = model.configuration.width
        guard let norm else { return observe(point, space.hidden, width, rows: rows, observer) }
        norm.apply(space.hidden, into: space.gated, rows: rows, columns: width)
        observe(point, space.gated, width, rows: rows, observer)
    }

    /// Normalises the heads of queries and keys where the family does, turns them by their positions, and writes keys and values into the sequences' pages.
    private func storeKeysAndValues(layer: Int) {
        let shape = model.configuration
        let headWidth = shape.headWidth
        let interleaved = shape.rotaryStyle == .interleaved
        let rotaryWidth = shape.rope.width(ofHead: headWidth)
        var last = 0
        for span in spans {
            span.sequence.ensure(layer: layer, slots: span.firstPosition + span.count)
            last = max(last, span.firstPosition + span.count)
        }
        // Tables move when they grow: first all spans' rows, then pointers.
        let turns = shape.traits.learnedPositions == nil
        if turns {
            for span in spans { _ = rotary.rows(last, layer: layer, capacity: span.sequence.capacity) }
        }
        let block = blocks[layer]
        let own = shape.shape(ofLayer: layer)
        let queryWidth = own.heads * headWidth
        let keyWidth = own.keyValueHeads * headWidth
        let type = configuration.kvType.code
        let space = space
        let spans = spans
        /// Rows `range`, all of one span.
        func store(_ span: Span, _ range: Range<Int>) {
            let query = space.query + range.lowerBound * queryWidth
            let key = space.key + range.lowerBound * keyWidth
            if let norm = block.queryNorm {
                let rows = range.count * queryWidth / norm.count
                norm.apply(query, into: query, rows: rows, columns: norm.count)
            }
            if let norm = block.keyNorm {
                norm.apply(key, into: key, rows: range.count * keyWidth / norm.count, columns: norm.count)
            }
            if turns {
                let table = rotary.rows(last, layer: layer, capacity: span.sequence.capacity)
                let positions = space.positions + range.lowerBound
                wn_rope_part(
                    query, queryWidth, own.heads, headWidth, rotaryWidth, range.count, table, positions,
                    interleaved)
                wn_rope_part(
                    key, keyWidth, own.keyValueHeads, headWidth, rotaryWidth, range.count, table, positions,
                    interleaved)
            }
            for row in range {
                let position = span.firstPosition + row - span.firstRow
                for head in 0..<own.keyValueHeads {
                    let slot = span.sequence.slot(layer: layer, head: head, at: position)
                    wn_kv_store(type, space.key + row * keyWidth + head * headWidth, slot.key, headWidth)
                    wn_kv_store(type, space.value + row * keyWidth + head * headWidth, slot.value, headWidth)
                }
            }
        }
        pool.inRows(rows) { range in
            for span in spans {
                let own = range.clamped(to: span.firstRow..<span.firstRow + span.count)
                if !own.isEmpty { store(span, own) }
            }
        }
    }

    private func attend(layer: Int) {
        let shape = model.configuration
        let own = shape.shape(ofLayer: layer)
        let headsWidth = own.heads * shape.headWidth
        let window = shape.traits.window(ofLayer: layer)
        let isCausal = shape.traits.isCausal
        if let window { windows.begin(rows: rows, window: isCausal ? window : 2 * window + 1) }
        for span in spans {
            let sequence = span.sequence
            for index in 0..<span.count {
                let row = span.firstRow + index
                let position = span.firstPosition + index
                let end = isCausal ? position + 1 : span.firstPosition + span.count
                var attentionRow = wn_attention_row(
                    query: space.query + row * headsWidth, out: space.heads + row * headsWidth,
                    segments: sequence.segments(layer: layer), segment_stride: sequence.segmentStride,
                    segment_count: sequence.segmentCount(layer: layer), visible: end,
                    bias: distances?.values(at: position), bias_stride: distances?.stride ?? 0)
                let first = window.map { max(isCausal ? end - $0 : position - $0, 0) } ?? 0
                let last = window.map { isCausal ? end : min(end, position + $0 + 1) } ?? end
                if first > 0 {
                    let lists = windows.lists(of: sequence, layer: layer, slots: first..<last)
                    attentionRow.segments = lists.lists
                    attentionRow.segment_stride = lists.stride
                    attentionRow.segment_count = lists.stride
                }
                attentionRow.visible = last - first
                space.attentionRows[row] = attentionRow
            }
        }
        wn_attend_capped(
            pool.pointer, space.attentionRows, rows, own.heads, own.keyValueHeads, shape.headWidth,
            shape.traits.attentionScale ?? 1 / Float(shape.headWidth).squareRoot(), shape.traits.attentionCap,
            configuration.kvType.code)
    }
}
