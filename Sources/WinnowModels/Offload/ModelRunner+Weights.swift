import WinnowCore
import WinnowIO
import WinnowWeights

extension ModelRunner {
    /// Decides where the weights are and brings them there: called once, before the first step.
    ///
    /// - Parameter open: how files are read; nil: with `pread`.
    /// - Returns: the plan, which ``store`` follows from then on.
    /// - Throws: ``WeightPlanError``, ``WeightStoreError``, `FileError`, `MemoryLimitError`.
    @discardableResult
    public func placeWeights(
        _ request: WeightRequest, open: ((String) throws -> any RangeReader)? = nil
    ) throws -> WeightPlan {
        let plan: WeightPlan
        if request.placement == .mapped {
            plan = WeightPlan(
                placement: .mapped, blocks: model.blocks.count,
                residentBytes: 0)
            store = try WeightStore(plan)
            return plan
        }
        let readers = try model.readers(open ?? { try FileRangeReader($0, cached: request.readsCached) })
        let sizes = WeightSizes(model)
        let fixed = request.reservedBytes + request.cacheBytes + byteCount
        var chosen = try choose(request, sizes, fixed: fixed, readers)
        let store = try build(&chosen, sizes, ringSlots: request.ringSlots, readers)
        self.store = store
        try bind()
        return store.plan
    }

    private func choose(
        _ request: WeightRequest, _ sizes: WeightSizes, fixed: Int, _ readers: [String: any RangeReader]
    ) throws -> WeightPlan {
        if request.placement == .resident {
            var plan = MemoryPlan()
            plan.add("the model as stored", bytes: sizes.total)
            plan.add("keys, values and the workspace", bytes: fixed)
            try plan.check(limit: request.limit)
            return WeightPlan(placement: .resident, blocks: model.blocks.count, residentBytes: sizes.total)
        }
        let rows = model.embedding.matrix.columns
        let beside = fixed + EmbeddingRows.byteCount(columns: rows)
        let mustStream = request.placement == .streamed
        let slots = max(request.ringSlots, 2)
        guard let least = sizes.minimum(ringSlots: slots, mustStream: mustStream) else {
            throw WeightPlanError.notInFiles(
                reason: readers.isEmpty
                    ? "they were made in memory; write the model to a folder first"
                    : "too few of them are used as their file has them; use --weights resident")
        }
        // Asked for without a limit, streaming keeps as little as it can.
        let budget = request.limit.map { $0 - beside } ?? (mustStream ? least : .max)
        guard let plan = sizes.plan(budget: budget, ringSlots: slots, mustStream: mustStream) else {
            throw WeightPlanError.limitTooSmall(
                limit: request.limit ?? budget, minimum: least + beside, fixed: beside)
        }
        return plan
    }

    /// Loads what stays in memory and starts the stream of the rest.
    private func build(
        _ plan: inout WeightPlan, _ sizes: WeightSizes, ringSlots: Int, _ readers: [String: any RangeReader]
    ) throws -> WeightStore {
        plan.readsDirectly = readers.values.contains { ($0 as? FileRangeReader)?.isDirect ?? false }
        let isStreamed = plan.placement == .streamed
        // Stages are made from the mapped matrices, before these give way to resident ones.
        var blocks: [WeightStage?] = []
        for index in model.blocks.indices {
            let isRead = plan.streamedBlocks.contains(index)
            blocks.append(isRead ? WeightStage(LanguageModel.streamedMatrices(of: model.blocks[index])) : nil)
        }
        let head = isStreamed && plan.streamsHead ? model.headStages(like: sizes.slots.max() ?? 0) : []
        var embedding: EmbeddingRows?
        if isStreamed, plan.streamsEmbedding {
            embedding = try EmbeddingRows(model.embedding.matrix, readers)
        }
        if isStreamed {
            plan.diskBytesPerSecond = try DiskSpeed.measure(
                (blocks.compactMap(\.self) + head.map(\.stage)), readers)
        }

        var streamed = Set<String>()
        for index in plan.streamedBlocks {
            streamed.formUnion(LanguageModel.streamedNames(of: model.blocks[index]))
        }
        if plan.streamsHead { streamed.insert((model.head ?? model.embedding).name) }
        if plan.streamsEmbedding { streamed.insert(model.embedding.name) }
        try model.makeResident(except: streamed, readers)
        return try WeightStore(
            plan, blocks: blocks, head: head, embedding: embedding, ringSlots: max(ringSlots, 2),
            readers: readers)
    }

    /// Brings a block's weights to where its products read them.
    ///
    /// - Throws: ``WeightStoreError``.
    func loadBlock(_ index: Int) throws(WeightStoreError) {
        guard let store else { return }
        if let bound = try store.block(
            index, of: model, mode: configuration.activations, in: space)
        {
            blocks[index] = bound
        }
    }
}

extension WeightSizes {
    init(_ model: LanguageModel) {
        var blocks: [Int] = []
        var slots: [Int] = []
        for (index, block) in model.blocks.enumerated() {
            var bytes = 0
            block.visit { if case .matrix(let matrix) = $0.value { bytes += matrix.byteCount } }
            let stage = WeightStage(LanguageModel.streamedMatrices(of: block))
            blocks.append(bytes)
            slots.append(stage?.slotBytes ?? 0)
            // What is not in files stays, and then there is little to gain from the rest of the block.
            if stage?.byteCount != bytes { fixedBlocks.insert(index) }
        }
        self.blocks = blocks
        self.slots = slots
        head = model.headMatrix.byteCount
        let parts = model.headStages(like: slots.max() ?? 0)
        headParts = parts.count
        headSlot = parts.map(\.stage.slotBytes).max() ?? 0
        canStreamHead = !parts.isEmpty
        embedding = model.head == nil ? 0 : model.embedding.matrix.byteCount
        let table = model.embedding.matrix
        canStreamEmbedding = table.parts.isMapped && !table.format.isMasked
        // A tied head that streams needs its rows for tokens, too.
        if model.head == nil, !canStreamEmbedding { canStreamHead = false }
        others = model.byteCount - blocks.reduce(0, +) - head - embedding
    }
}

extension LanguageModel {
    /// A reader of every file that a weight is in.
    func readers(_ open: (String) throws -> any RangeReader) throws -> [String: any RangeReader] {
        var readers: [String: any RangeReader] = [:]
        try visit { parameter in
            for file in parameter.files where readers[file] == nil { readers[file] = try open(file) }
        }
        return readers
    }

    /// The head in parts that are no larger than a block; none when it is not in files.
    func headStages(like blockBytes: Int) -> [(stage: WeightStage, rows: Range<Int>)] {
        let parameter = head ?? embedding
        let matrix = parameter.matrix
        guard hasHead, matrix.parts.isMapped else { return [] }
        // The rows of a mask point into values that stand together.
        let rowBytes = max(matrix.byteCount / matrix.rows, 1)
        let rows =
            matrix.format.isMasked ? matrix.rows : max(64, max(blockBytes, 1 << 20) / rowBytes / 64 * 64)
        return stride(from: 0, to: matrix.rows, by: rows).compactMap { first in
            let range = first..<min(first + rows, matrix.rows)
            let part = range.count == matrix.rows ? matrix : matrix.slice(rows: range)
            return WeightStage([(parameter.name, part)]).map { ($0, range) }
        }
    }

    /// Copies weights out of their mapped files into memory.
    ///
    /// - Parameter streamed: names of those that stay where they are.
    func makeResident(except streamed: Set<String>, _ readers: [String: any RangeReader]) throws {
        try visit { parameter in
            guard !streamed.contains(parameter.name) else { return }
            switch parameter.value {
            case .matrix(let matrix):
                guard let stage = WeightStage([(parameter.name, matrix)]) else { return }
                parameter.replace(with: try stage.load(readers)[0])
            case .vector(let vector):
                guard let file = vector.bytes.storage.file, let reader = readers[file] else { return }
                let bytes = try WeightStage.copy(vector.bytes, reader)
                parameter.replace(with: Tensor(dtype: vector.dtype, shape: vector.shape, bytes: bytes))
            }
        }
    }
}

extension Parameter {
    /// The files that it is in; none for one in memory.
    fileprivate var files: [String] {
        switch value {
        case .matrix(let matrix): matrix.parts.slices.compactMap(\.storage.file)
        case .vector(let vector): [vector.bytes.storage.file].compactMap(\.self)
        }
    }
}
