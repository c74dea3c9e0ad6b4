import CWinnow
import WinnowCore
import WinnowIO
import WinnowText
import WinnowWeights

/// Runs a model: owns the threads, the workspace and the KV pages; one step at a time.
///
/// A step takes rows of one or more sequences, runs every block over them together (each weight is read once),
/// and commits the sequences' lengths at its end, so that a cancelled step leaves no trace. An output depends
/// on its own sequence only: the same bits alone or in a batch, in one chunk or several, for any number of
/// threads.
public final class ModelRunner {
    public struct Configuration: Sendable {
        public var threads: Int
        public var activations: ActivationMode = .fast
        public var kvType: KVType = .f16
        /// The most tokens of a step; longer prompts take several.
        public var chunk = 256
        /// The most rows of logits made at once.
        public var logitRows = 1

        public init(threads: Int) { self.threads = threads }
    }

    public let model: LanguageModel
    public let configuration: Configuration
    public let pool: KernelPool

    let pages: KVPagePool
    let rotary: RotaryTables
    private let windows: WindowLists
    var space: RunnerWorkspace
    private var blocks: [BoundBlock] = []
    let finalNorm: BoundNorm?
    let embeddingNorm: BoundNorm?
    /// The first kind of segments, added to every token.
    private let tokenType: [Float]
    private let distances: DistanceBias?
    private var head = ProductGroup()
    private var headInputs: [PreparedInput] = []
    private var boundVersion = -1
    /// What pruning replaces: looked at before each step.
    private let linears: [Parameter]

    /// Rows of the current step, one span a sequence.
    private var spans: [Span] = []
    private(set) var rows = 0

    struct Span {
        let sequence: KVSequence
        let firstRow: Int
        let firstPosition: Int
        let count: Int
    }

    /// - Throws: ``KernelPoolError`` when threads or scratch cannot be had.
    public init(_ model: LanguageModel, _ configuration: Configuration) throws {
        self.model = model
        self.configuration = configuration
        pool = try KernelPool(threads: configuration.threads)
        let shape = model.configuration
        pages = KVPagePool(
            type: configuration.kvType, headWidth: shape.headWidth, pagesPerSlab: shape.listsPerSequence)
        rotary = RotaryTables(shape)
        windows = WindowLists(heads: shape.widestLayer.keyValueHeads)
        space = RunnerWorkspace(
            model: model, mode: configuration.activations, tokens: configuration.chunk,
            logitRows: configuration.logitRows)
        finalNorm = model.finalNorm.map(BoundNorm.init)
        let parts = model.embeddingParts
        embeddingNorm = parts.norm.map(BoundNorm.init)
        var type = [Float](repeating: 0, count: parts.tokenTypes == nil ? 0 : shape.width)
        if let tokenTypes = parts.tokenTypes {
            type.withUnsafeMutableBufferPointer { tokenTypes.matrix.row(0, into: $0.baseAddress!) }
        }
        tokenType = type
        distances = DistanceBias(model)
        linears = model.blocks.flatMap { $0.linears.map(\.parameter) }
        spans.reserveCapacity(64)
        try bind()
    }

    /// Memory beside the weights: workspace and KV pages.
    public var byteCount: Int { space.arena.byteCount + pages.byteCount }

    /// An empty sequence for up to `capacity` tokens.
    public func makeSequence(capacity: Int) -> KVSequence {
        KVSequence(pool: pages, heads: model.configuration.keyValueHeadsOfLayers, capacity: capacity)
    }

    /// How often parameters were replaced.
    private var version: Int {
        var sum = 0
        for parameter in linears { sum += parameter.version }
        return sum
    }

    /// Binds again when a parameter was replaced since.
    func bindIfChanged() throws {
        guard version != boundVersion else { return }
        space = RunnerWorkspace(
            model: model, mode: configuration.activations, tokens: configuration.chunk,
            logitRows: configuration.logitRows)
        try bind()
    }

    /// Multiplies an image's patches, into the branch.
    var patchProduct = ProductGroup()
    var patchInputs: [PreparedInput] = []

    private func bind() throws {
        boundVersion = version
        let traits = model.configuration.traits
        blocks = model.blocks.map {
            BoundBlock($0, traits: traits, mode: configuration.activations, in: space)
        }
        head = ProductGroup()
        if model.hasHead {
            let matrix = model.headMatrix
            headInputs = space.logitInputs.inputs(for: [matrix], mode: configuration.activations)
            head.add(
                Linear(model.head ?? model.embedding, bias: model.headBias), from: space.logitInputs,
                configuration.activations, to: space.logits)
        }
        bindPatches()
        let outside = max(head.scratchBytes, patchProduct.scratchBytes)
        try pool.reserve(scratch: blocks.reduce(outside) { max($0, $1.scratchBytes) })
    }

    // MARK: - A step

    /// Starts a step.
    public func begin() {
        spans.removeAll(keepingCapacity: true)
        rows = 0
    }

    /// Rows that still fit the step.
    public var room: Int { configuration.chunk - rows }

    /// Adds tokens of a sequence to the step; their rows are `rows..<rows + tokens.count` in order of adding.
    ///
    /// - Throws: ``ModelError`` for an id outside the vocabulary or a sequence that is full.
    public func append(_ tokens: UnsafeBufferPointer<TokenID>, to sequence: KVSequence) throws(ModelError) {
        precondition(tokens.count <= room, "\(tokens.count) tokens in a step with room for \(room)")
        guard model.configuration.traits.image == nil else {
            throw .noSuchInput(architecture: model.configuration.architecture, expected: "images")
        }
        guard sequence.length + tokens.count <= sequence.capacity else {
            throw .promptTooLong(tokens: sequence.length + tokens.count, context: sequence.capacity)
        }
        let width = model.configuration.width
        try embed(tokens, at: sequence.length, into: space.hidden + rows * width)
        for index in tokens.indices { space.positions[rows + index] = Int32(sequence.length + index) }
        addSpan(sequence, count: tokens.count)
    }

    func addSpan(_ sequence: KVSequence, count: Int) {
        spans.append(
            Span(sequence: sequence, firstRow: rows, firstPosition: sequence.length, count: count))
        rows += count
    }

    /// Runs every block over the step's rows and commits the sequences.
    ///
    /// - Throws: ``ModelError/cancelled``, with nothing committed.
    public func run(cancellation: CancellationFlag? = nil) throws {
        guard rows > 0 else { return }
        try bindIfChangedKeepingRows()
        for index in blocks.indices {
            if let cancellation, cancellation.isCancelled { throw ModelError.cancelled }
            runBlock(index, observer: nil)
        }
        commit()
    }

    /// A parameter was replaced between `append` and `run`: the rows move to the new workspace.
    private func bindIfChangedKeepingRows() throws {
        let old = space
        try bindIfChanged()
        guard old.arena !== space.arena else { return }
        space.hidden.update(from: old.hidden, count: rows * model.configuration.width)
        space.positions.update(from: old.positions, count: rows)
    }

    private func commit() {
        let traits = model.configuration.traits
        for span in spans {
            span.sequence.length = span.firstPosition + span.count
            guard traits.isCausal, traits.slidingWindow != nil else { continue }
            for layer in blocks.indices {
                guard let window = traits.window(ofLayer: layer) else { continue }
                span.sequence.freePages(layer: layer, outside: window)
            }
        }
    }

    /// Logits of rows of the last step, at most `logitRows` of them, `[count, vocabulary]`.
    public func logits(rows wanted: Range<Int>) -> UnsafeBufferPointer<Float> {
        precondition(
            wanted.count <= configuration.logitRows && wanted.upperBound <= rows,
            "rows \(wanted) of \(rows), \(configuration.logitRows) at once")
        precondition(model.hasHead, "logits of an encoder")
        let width = model.configuration.width
        space.gathered.update(from: space.hidden + wanted.lowerBound * width, count: wanted.count * width)
        fill(headInputs, space.gathered, norm: finalNorm, rows: wanted.count)
        head.run(on: pool)
        let traits = model.configuration.traits
        let count = wanted.count * model.configuration.vocabularySize
        if traits.logitScale != 1 { wn_scale(space.logits, traits.logitScale, count) }
        if traits.logitCap > 0 { wn_soft_cap(space.logits, traits.logitCap, count) }
        return UnsafeBufferPointer(
            start: space.logits, count: wanted.count * model.configuration.vocabularySize)
    }

    // MARK: - A block

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
        block.queryKeyValue.run(on: pool)
        // Both branches of a parallel block read the residual as it was.
        if isParallel { runGateUp(block, observer) }
        storeKeysAndValues(layer: index)
        attend(layer: index)

        let headsWidth = shape.shape(ofLayer: index).heads * shape.headWidth
        if let observer { observe(.attentionOutput, space.heads, headsWidth, rows: rows, observer) }
        if lastStage == TapPoint.attentionOutput.stage { return }
        for input in block.outputInputs {
            input.fill(space.heads, stride: headsWidth, tokens: rows, on: pool)
        }
        block.output.run(on: pool)
        join(block.postAttentionNorm)
        if let norm = block.attentionResidualNorm { normalise(norm) }

        if let mixture = block.mixture {
            runMixture(
                mixture, norm: block.feedForwardNorm, observer: observer, lastStage: lastStage)
            return
        }
        guard let feedForward = block.feedForward else { return }
        if !isParallel { runGateUp(block, observer, lastStage: lastStage) }
        if lastStage <= TapPoint.feedForwardHidden.stage { return }
        for input in feedForward.downInputs {
            input.fill(space.gated, stride: feedForward.width, tokens: rows, on: pool)
        }
        feedForward.down.run(on: pool)
        join(block.postFeedForwardNorm)
        if let norm = block.feedForwardResidualNorm { normalise(norm) }
    }

    private func runGateUp(_ block: BoundBlock, _ observer: ((TapValues) -> Void)?, lastStage: Int = .max) {
        guard let feedForward = block.feedForward else { return }
        if let observer { observeNormed(.feedForwardInput, block.feedForwardNorm, observer) }
        if lastStage == TapPoint.feedForwardInput.stage { return }
        fill(feedForward.inputs, space.hidden, norm: block.feedForwardNorm, rows: rows)
        feedForward.gateUp.run(on: pool)
        if let observer { observe(.feedForwardHidden, space.gated, feedForward.width, rows: rows, observer) }
    }

    /// Fills inputs from rows of the model's width, normalised where there is a norm.
    private func fill(
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
        if rows <= 8 {
            for span in spans { store(span, span.firstRow..<span.firstRow + span.count) }
        } else {
            for span in spans {
                let chunks = (span.count + 31) / 32
                pool.run(chunks: chunks) { chunk, _ in
                    let first = span.firstRow + chunk * 32
                    store(span, first..<min(first + 32, span.firstRow + span.count))
                }
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

    // MARK: - One block over whole windows

    /// Runs one block over windows of hidden states, in place: how one-shot pruning walks a model.
    ///
    /// - Parameter hidden: `[windows * length, width]`.
    /// - Parameter observer: called for each tap point, window by window in order.
    /// - Parameter keepsInput: leaves `hidden` as it was, and computes only what the taps see.
    /// - Parameter lastTap: with `keepsInput`, the last point that the observer wants; nil: the block's last.
    public func runBlock(
        _ index: Int, hidden: UnsafeMutableBufferPointer<Float>, windows: Int, length: Int,
        observer: ((TapValues) -> Void)? = nil, keepsInput: Bool = false, lastTap: TapPoint? = nil,
        cancellation: CancellationFlag? = nil
    ) throws {
        let width = model.configuration.width
        precondition(
            hidden.count == windows * length * width, "\(hidden.count) values for \(windows) windows")
        try bindIfChanged()
        let together = max(1, configuration.chunk / length)
        let sequences = (0..<min(together, windows)).map { _ in makeSequence(capacity: length) }
        for firstWindow in stride(from: 0, to: windows, by: together) {
            if let cancellation, cancellation.isCancelled { throw ModelError.cancelled }
            let count = min(together, windows - firstWindow)
            for sequence in sequences { sequence.reset() }
            // One window may be longer than a step: then it takes several, one after another.
            for start in stride(from: 0, to: length, by: configuration.chunk) {
                let part = min(configuration.chunk, length - start)
                let base = hidden.baseAddress! + (firstWindow * length + start) * width
                begin()
                for window in 0..<count {
                    for position in 0..<part { space.positions[rows + position] = Int32(start + position) }
                    (space.hidden + rows * width).update(
                        from: base + window * length * width, count: part * width)
                    addSpan(sequences[window], count: part)
                }
                runBlock(index, observer: observer, lastTap: keepsInput ? lastTap ?? .feedForwardHidden : nil)
                commit()
                if keepsInput { continue }
                for span in spans.enumerated() {
                    (base + span.offset * length * width).update(
                        from: space.hidden + span.element.firstRow * width, count: part * width)
                }
            }
        }
        begin()
    }

    /// The embedding of tokens, `[tokens, width]`: the first block's input.
    ///
    /// - Parameter position: of the first token.
    /// - Throws: ``ModelError`` for an id outside the vocabulary or a position that has no embedding.
    public func embed(
        _ tokens: [TokenID], at position: Int = 0, into hidden: UnsafeMutablePointer<Float>
    ) throws(ModelError) {
        try tokens.withUnsafeBufferPointer { (tokens) throws(ModelError) in
            try embed(tokens, at: position, into: hidden)
        }
    }

    private func embed(
        _ tokens: UnsafeBufferPointer<TokenID>, at position: Int, into hidden: UnsafeMutablePointer<Float>
    ) throws(ModelError) {
        let table = model.embedding.matrix
        let width = table.columns
        let traits = model.configuration.traits
        guard traits.image == nil else {
            throw .noSuchInput(architecture: model.configuration.architecture, expected: "images")
        }
        if let positions = traits.learnedPositions,
            position + tokens.count + positions.offset > positions.rows
        {
            throw .promptTooLong(tokens: position + tokens.count, context: positions.rows - positions.offset)
        }
        for (index, token) in tokens.enumerated() {
            guard token >= 0, Int(token) < table.rows else {
                throw .tokenOutOfRange(id: Int(token), vocabulary: table.rows)
            }
            let row = hidden + index * width
            table.row(Int(token), into: row)
            if traits.embeddingScale != 1 {
                for column in 0..<width { row[column] *= traits.embeddingScale }
            }
            if let positions = traits.learnedPositions, let learned = model.positions {
                // The branch is not in use before a step runs.
                learned.matrix.row(position + index + positions.offset, into: space.branch)
                wn_add(row, space.branch, width)
            }
            if !tokenType.isEmpty { wn_add(row, tokenType, width) }
        }
        embeddingNorm?.apply(hidden, into: hidden, rows: tokens.count, columns: width)
    }
}
