import WinnowCore
import WinnowIO
import WinnowWeights

/// Where a runner's weights are: in memory, in the mapped file, or read from disk at every step.
///
/// Streamed weights give the same bits as resident ones: the same kernels run over the same bytes. All rows of a
/// step share one pass of the weights. Of a mixture of experts all experts are read, also those that no row goes to.
public final class WeightStore {
    public let plan: WeightPlan
    private let stream: WeightStream?
    /// The stage of each block; nil for one in memory.
    private let stageOfBlock: [Int?]
    /// Rows of the head that each of its stages holds, from stage ``firstHeadStage`` on.
    private let headRows: [Range<Int>]
    private let firstHeadStage: Int
    private let embedding: EmbeddingRows?
    /// What was bound over each slot of the ring, by stage.
    private var boundBlocks: [[BoundBlock?]]
    private var boundHead: [[ProductGroup?]]

    /// - Parameter stages: of each block, nil for one in memory; parts of the head with their rows.
    init(
        _ plan: WeightPlan, blocks: [WeightStage?] = [], head: [(stage: WeightStage, rows: Range<Int>)] = [],
        embedding: EmbeddingRows? = nil, ringSlots: Int = 2, readers: [String: any RangeReader] = [:]
    ) throws {
        self.plan = plan
        var stages: [WeightStage] = []
        var stageOfBlock = [Int?](repeating: nil, count: plan.blocks)
        for (block, stage) in blocks.enumerated() {
            guard let stage else { continue }
            stageOfBlock[block] = stages.count
            stages.append(stage)
        }
        firstHeadStage = stages.count
        stages += head.map(\.stage)
        headRows = head.map(\.rows)
        self.stageOfBlock = stageOfBlock
        self.embedding = embedding
        stream = stages.isEmpty ? nil : try WeightStream(stages, slots: ringSlots, readers: readers)
        boundBlocks = stages.map { _ in [] }
        boundHead = stages.map { _ in [] }
        forget()
    }

    /// Bytes and seconds so far; nil when nothing is streamed.
    public var statistics: StreamStatistics? { stream.map { StreamStatistics($0.statistics) } }

    var streamsHead: Bool { !headRows.isEmpty }

    /// What was bound belongs to a workspace that is gone.
    func forget() {
        let count = stream?.slots.count ?? 0
        boundBlocks = boundBlocks.map { _ in .init(repeating: nil, count: count) }
        boundHead = boundHead.map { _ in .init(repeating: nil, count: count) }
    }

    /// A block over the memory that its weights were just read into; nil when it is in memory anyway.
    ///
    /// - Throws: ``WeightStoreError``.
    func block(
        _ index: Int, of model: LanguageModel, mode: ActivationMode, in space: RunnerWorkspace
    ) throws(WeightStoreError) -> BoundBlock? {
        guard let stream, let stage = stageOfBlock[index] else { return nil }
        let slot = try stream.acquire(stage)
        if let bound = boundBlocks[stage][slot] { return bound }
        var matrices = stream.stages[stage].matrices(over: stream.slots[slot]).makeIterator()
        let names = LanguageModel.streamedNames(of: model.blocks[index])
        var parameters: [String: Parameter] = [:]
        for name in names { parameters[name] = Parameter(name: name, value: .matrix(matrices.next()!)) }
        let block = model.blocks[index].replacing { parameters[$0.name] ?? $0 }
        let bound = BoundBlock(block, traits: model.configuration.traits, mode: mode, in: space)
        boundBlocks[stage][slot] = bound
        return bound
    }

    /// Runs a streamed head over the prepared rows, part by part.
    ///
    /// - Throws: ``WeightStoreError``.
    func runHead(
        of model: LanguageModel, mode: ActivationMode, in space: RunnerWorkspace, on pool: KernelPool
    ) throws(WeightStoreError) {
        guard let stream else { return }
        for (part, rows) in headRows.enumerated() {
            let stage = firstHeadStage + part
            let slot = try stream.acquire(stage)
            if boundHead[stage][slot] == nil {
                let matrix = stream.stages[stage].matrices(over: stream.slots[slot])[0]
                let bias = model.headBias.flatMap { $0.vector.floats() }.map {
                    Storage(copying: Array($0[rows]))
                }
                var group = ProductGroup()
                group.add(
                    matrix, input: space.logitInputs.input(for: matrix, mode: mode),
                    output: space.logits + rows.lowerBound, stride: model.configuration.vocabularySize,
                    bias: bias)
                boundHead[stage][slot] = group
            }
            boundHead[stage][slot]!.run(on: pool)
        }
    }

    /// Reads a row of the embedding; false when it is in memory.
    ///
    /// - Throws: ``WeightStoreError``.
    func embeddingRow(_ row: Int, into out: UnsafeMutablePointer<Float>) throws(WeightStoreError) -> Bool {
        guard let embedding else { return false }
        try embedding.read(row, into: out)
        return true
    }
}

/// What streaming has done so far.
public struct StreamStatistics: Sendable, Equatable {
    public let bytesRead: Int
    /// Bytes that were read ahead and then not asked for.
    public let bytesDropped: Int
    /// Seconds that the disk was read, and that computing waited for it.
    public let readSeconds: Double
    public let waitSeconds: Double

    init(_ statistics: WeightStream.Statistics) {
        bytesRead = statistics.bytesRead
        bytesDropped = statistics.bytesDropped
        readSeconds = statistics.readSeconds
        waitSeconds = statistics.waitSeconds
    }
}

/// Rows of an embedding that is not in memory, read one by one; the last few hundred are kept, since texts repeat
/// themselves.
final class EmbeddingRows {
    private let matrix: WeightMatrix
    private let readers: [String: any RangeReader]
    private let slot: Storage
    private var kept: [Int: [Float]] = [:]
    private static let mostKept = 512

    /// - Parameter matrix: dense, its arrays in files.
    init(_ matrix: WeightMatrix, _ readers: [String: any RangeReader]) throws(FileError) {
        self.matrix = matrix
        self.readers = readers
        let parts = matrix.parts.slices
        slot = try Storage.pages(
            byteCount: parts.reduce(0) { $0 + $1.byteCount / matrix.rows + 3 * WeightStage.alignment })
    }

    /// Bytes of memory.
    static func byteCount(columns: Int) -> Int { mostKept * columns * 4 }

    func read(_ row: Int, into out: UnsafeMutablePointer<Float>) throws(WeightStoreError) {
        if let values = kept[row] {
            values.withUnsafeBufferPointer { out.update(from: $0.baseAddress!, count: $0.count) }
            return
        }
        guard let stage = WeightStage([("row \(row)", matrix.slice(rows: row..<row + 1))]),
            stage.slotBytes <= slot.byteCount
        else { preconditionFailure("an embedding that is not in files") }
        try stage.load(readers, into: slot)[0].row(0, into: out)
        if kept.count >= EmbeddingRows.mostKept { kept.removeAll(keepingCapacity: true) }
        kept[row] = Array(UnsafeBufferPointer(start: out, count: matrix.columns))
    }
}

extension LanguageModel {
    /// Matrices of a block that are in files, each once, in the order of their stage.
    static func streamedMatrices(of block: TransformerBlock) -> [(name: String, matrix: WeightMatrix)] {
        var matrices: [(name: String, matrix: WeightMatrix)] = []
        block.visit { parameter in
            if case .matrix(let matrix) = parameter.value, matrix.parts.isMapped {
                matrices.append((parameter.name, matrix))
            }
        }
        return matrices
    }

    static func streamedNames(of block: TransformerBlock) -> [String] {
        streamedMatrices(of: block).map(\.name)
    }
}
