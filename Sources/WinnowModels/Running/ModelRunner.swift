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
    let windows: WindowLists
    var space: RunnerWorkspace
    var blocks: [BoundBlock] = []
    let finalNorm: BoundNorm?
    let embeddingNorm: BoundNorm?
    /// The first kind of segments, added to every token.
    let tokenType: [Float]
    let distances: DistanceBias?
    var head = ProductGroup()
    var headInputs: [PreparedInput] = []
    var boundVersion = -1
    /// What stands in some blocks in place of their whole feed-forward networks.
    var neurons: PackedNeurons?
    /// Where the weights are; nil: where the model has them.
    public internal(set) var store: WeightStore?
    /// nil until a sequence has an adapter.
    var adapters: AdapterWorkspace?
    /// What pruning replaces: looked at before each step.
    let linears: [Parameter]

    /// Told when each stage of a step is over; nil: nobody asks.
    public var stepClock: StepClock?

    /// Rows of the current step, one span a sequence.
    var spans: [Span] = []
    private(set) var rows = 0

    struct Span {
        let sequence: KVSequence
        let firstRow: Int
        let firstPosition: Int
        let count: Int
    }

    /// - Parameter pool: the threads of another runner that works in turns with this one; nil: threads of its own.
    /// - Throws: ``KernelPoolError`` when threads or scratch cannot be had.
    public init(_ model: LanguageModel, _ configuration: Configuration, sharing pool: KernelPool? = nil)
        throws
    {
        self.model = model
        self.configuration = configuration
        self.pool = try pool ?? KernelPool(threads: configuration.threads)
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
    public var byteCount: Int {
        space.arena.byteCount + pages.byteCount + (adapters?.byteCount ?? 0)
    }

    /// An empty sequence for up to `capacity` tokens.
    ///
    /// - Parameter adapter: of this runner's model; runs beside it for this sequence.
    public func makeSequence(capacity: Int, adapter: RunningAdapter? = nil) -> KVSequence {
        let sequence = KVSequence(
            pool: pages, heads: model.configuration.keyValueHeadsOfLayers, capacity: capacity)
        sequence.adapter = adapter
        return sequence
    }

    /// How often parameters were replaced.
    var version: Int {
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

    func bind() throws {
        boundVersion = version
        neurons = nil
        store?.forget()
        adapters = nil
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
        stepClock?.start(step: true)
    }

    /// Rows that still fit the step.
    public var room: Int { configuration.chunk - rows }

    /// Adds tokens of a sequence to the step; their rows are `rows..<rows + tokens.count` in order of adding.
    ///
    /// - Throws: ``ModelError`` for an id outside the vocabulary or a sequence that is full, ``WeightStoreError``.
    public func append(_ tokens: UnsafeBufferPointer<TokenID>, to sequence: KVSequence) throws {
        precondition(tokens.count <= room, "\(tokens.count) tokens in a step with room for \(room)")
        guard model.configuration.traits.image == nil else {
            throw ModelError.noSuchInput(
                architecture: model.configuration.architecture, expected: "images")
        }
        guard sequence.length + tokens.count <= sequence.capacity else {
            throw ModelError.promptTooLong(tokens: sequence.length + tokens.count, context: sequence.capacity)
        }
        let width = model.configuration.width
        try embed(tokens, at: sequence.length, into: space.hidden + rows * width)
        for index in tokens.indices { space.positions[rows + index] = Int32(sequence.length + index) }
        addSpan(sequence, count: tokens.count)
        stepClock?.lap(.embedding, block: nil)
    }

    func addSpan(_ sequence: KVSequence, count: Int) {
        spans.append(
            Span(sequence: sequence, firstRow: rows, firstPosition: sequence.length, count: count))
        rows += count
    }

    /// Runs every block over the step's rows and commits the sequences.
    ///
    /// - Parameter observer: called with each block's number and what its tap points show.
    /// - Throws: ``ModelError/cancelled``, ``WeightStoreError``; with nothing committed.
    public func run(
        cancellation: CancellationFlag? = nil, observer: ((Int, TapValues) -> Void)? = nil
    ) throws {
        guard rows > 0 else { return }
        try bindIfChangedKeepingRows()
        stepClock?.start(step: false)
        for index in blocks.indices {
            if let cancellation, cancellation.isCancelled { throw ModelError.cancelled }
            try loadBlock(index)
            runBlock(index, observer: observer.map { observer in { observer(index, $0) } })
        }
        commit()
    }

    /// A parameter was replaced between `append` and `run`: the rows move to the new workspace.
    func bindIfChangedKeepingRows() throws {
        let old = space
        try bindIfChanged()
        guard old.arena !== space.arena else { return }
        space.hidden.update(from: old.hidden, count: rows * model.configuration.width)
        space.positions.update(from: old.positions, count: rows)
    }

    func commit() {
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
    ///
    /// - Throws: ``WeightStoreError`` when the head is streamed and cannot be read.
    public func logits<Rows: Collection<Int>>(
        rows wanted: Rows
    ) throws(WeightStoreError) -> UnsafeBufferPointer<Float> {
        precondition(
            wanted.count <= configuration.logitRows && wanted.allSatisfy { 0..<rows ~= $0 },
            "rows \(wanted) of \(rows), \(configuration.logitRows) at once")
        precondition(model.hasHead, "logits of an encoder")
        stepClock?.start(step: false)
        let width = model.configuration.width
        for (place, row) in wanted.enumerated() {
            (space.gathered + place * width).update(from: space.hidden + row * width, count: width)
        }
        fill(headInputs, space.gathered, norm: finalNorm, rows: wanted.count)
        if let store, store.streamsHead {
            try store.runHead(of: model, mode: configuration.activations, in: space, on: pool)
        } else {
            head.run(on: pool)
        }
        let traits = model.configuration.traits
        let count = wanted.count * model.configuration.vocabularySize
        if traits.logitScale != 1 { wn_scale(space.logits, traits.logitScale, count) }
        if traits.logitCap > 0 { wn_soft_cap(space.logits, traits.logitCap, count) }
        stepClock?.lap(.head, block: nil)
        return UnsafeBufferPointer(
            start: space.logits, count: wanted.count * model.configuration.vocabularySize)
    }

    /// The embedding of tokens, `[tokens, width]`: the first block's input.
    ///
    /// - Parameter position: of the first token.
    /// - Throws: ``ModelError`` for an id outside the vocabulary or a position that has no embedding,
    ///   ``WeightStoreError``.
    public func embed(
        _ tokens: [TokenID], at position: Int = 0, into hidden: UnsafeMutablePointer<Float>
    ) throws {
        try tokens.withUnsafeBufferPointer { try embed($0, at: position, into: hidden) }
    }

    func embed(
        _ tokens: UnsafeBufferPointer<TokenID>, at position: Int, into hidden: UnsafeMutablePointer<Float>
    ) throws {
        let table = model.embedding.matrix
        let width = table.columns
        let traits = model.configuration.traits
        guard traits.image == nil else {
            throw ModelError.noSuchInput(
                architecture: model.configuration.architecture, expected: "images")
        }
        if let positions = traits.learnedPositions,
            position + tokens.count + positions.offset > positions.rows
        {
            throw ModelError.promptTooLong(
                tokens: position + tokens.count, context: positions.rows - positions.offset)
        }
        for (index, token) in tokens.enumerated() {
            guard token >= 0, Int(token) < table.rows else {
                throw ModelError.tokenOutOfRange(id: Int(token), vocabulary: table.rows)
            }
            let row = hidden + index * width
            if try store?.embeddingRow(Int(token), into: row) != true { table.row(Int(token), into: row) }
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
