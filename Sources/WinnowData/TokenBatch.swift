import WinnowText

/// Windows side by side: what a step of training reads, row-major `[batch, length]`.
public struct TokenBatch: Sendable, Equatable {
    public let batch: Int
    public let length: Int
    public internal(set) var ids: [TokenID]
    /// The token after each.
    public internal(set) var targets: [TokenID]
    /// 1 where the target is learned, else 0: prompts, padding.
    public internal(set) var weights: [Float]
    /// Place in the document, from 0; a text that goes on from another window starts again.
    public internal(set) var positions: [Int32]
    /// Which document of the window a token is part of, from 0: attention stays inside one. Padding has -1.
    public internal(set) var segments: [Int32]

    public init(batch: Int, length: Int) {
        self.batch = batch
        self.length = length
        ids = [TokenID](repeating: 0, count: batch * length)
        targets = ids
        weights = [Float](repeating: 0, count: batch * length)
        positions = ids
        segments = [Int32](repeating: -1, count: batch * length)
    }

    /// Sum of ``weights``: what a mean loss is divided by.
    public var learnedCount: Int { weights.reduce(into: 0) { $0 += $1 == 0 ? 0 : 1 } }

    /// The runs of one document in a row, padding left out.
    public func documents(row: Int) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var start = 0
        for place in 1...length {
            if place < length, segments[row * length + place] == segments[row * length + start] { continue }
            if segments[row * length + start] >= 0 { result.append(start..<place) }
            start = place
        }
        return result
    }
}

/// Where a run of training stands in its data: all that is needed to go on.
public struct DataPosition: Sendable, Equatable, Codable {
    /// How often all windows were seen.
    public var epoch: Int
    /// Windows taken in this epoch.
    public var window: Int

    public init(epoch: Int = 0, window: Int = 0) {
        self.epoch = epoch
        self.window = window
    }
}

/// Batches without end, epoch after epoch, each in an order of its own that the seed decides.
///
/// Every batch is full: the last of an epoch takes its missing windows from the next.
public struct BatchStream: Sendable {
    public let dataset: TokenDataset
    public let plan: WindowPlan
    public let batch: Int
    public let seed: UInt64
    /// Whether windows are drawn in a shuffled order.
    public let isShuffled: Bool
    public private(set) var position: DataPosition
    private let padding: TokenID
    private var order: [UInt32] = []
    private var orderEpoch = -1

    /// - Parameter position: where to go on, as ``position`` said it; a window past the end is the next
    ///   epoch's first.
    /// - Parameter padding: the id behind the last document of a window; its weight is 0.
    public init(
        _ dataset: TokenDataset, plan: WindowPlan, batch: Int, seed: UInt64 = 0, isShuffled: Bool = true,
        position: DataPosition = DataPosition(), padding: TokenID = 0
    ) {
        precondition(batch > 0, "batches of \(batch)")
        self.dataset = dataset
        self.plan = plan
        self.batch = batch
        self.seed = seed
        self.isShuffled = isShuffled
        // What a damaged checkpoint may say is no reason to trap: it begins again.
        self.position = DataPosition(epoch: max(0, position.epoch), window: max(0, position.window))
        self.padding = padding
    }

    /// Batches of an epoch, the last one rounded up.
    public var batchesPerEpoch: Int { (plan.windowCount + batch - 1) / batch }

    public mutating func next() -> TokenBatch {
        var result = TokenBatch(batch: batch, length: plan.length)
        next(into: &result)
        return result
    }

    /// The next batch into memory that is there already.
    public mutating func next(into result: inout TokenBatch) {
        precondition(result.batch == batch && result.length == plan.length, "a batch of another shape")
        for row in 0..<batch {
            if position.window >= plan.windowCount {
                position.epoch += 1
                position.window = 0
            }
            fill(&result, row: row, window: window(position))
            position.window += 1
        }
    }

    private mutating func window(_ position: DataPosition) -> Int {
        guard isShuffled else { return position.window }
        if orderEpoch != position.epoch {
            // Neighbouring seeds and epochs must not meet: the generator mixes its seed, this keeps them
            // apart.
            order = SeededOrder.permutation(
                plan.windowCount, seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(position.epoch))
            orderEpoch = position.epoch
        }
        return Int(order[position.window])
    }

    /// All windows once, in order; the last batch may be smaller. For validation.
    public func inOrder(_ body: (TokenBatch) throws -> Void) rethrows {
        for start in stride(from: 0, to: plan.windowCount, by: batch) {
            var result = TokenBatch(batch: min(batch, plan.windowCount - start), length: plan.length)
            for row in 0..<result.batch { fill(&result, row: row, window: start + row) }
            try body(result)
        }
    }

    private func fill(_ result: inout TokenBatch, row: Int, window: Int) {
        var place = row * plan.length
        let end = place + plan.length
        for (segment, piece) in plan.pieces[plan.starts[window]..<plan.starts[window + 1]].enumerated() {
            let part = dataset.parts[Int(piece.part)], store = dataset.stores[part.store]
            let first = part.range.lowerBound + Int(piece.first)
            var id = store.id(first)
            for offset in 0..<Int(piece.count) {
                let next = store.word(first + offset + 1), target = TokenID(next & ~TokenStore.learnedBit)
                result.ids[place] = id
                result.targets[place] = target
                result.weights[place] = next & TokenStore.learnedBit != 0 ? 1 : 0
                result.positions[place] = Int32(offset)
                result.segments[place] = Int32(segment)
                id = target
                place += 1
            }
        }
        while place < end {
            result.ids[place] = padding
            result.targets[place] = padding
            result.weights[place] = 0
            result.positions[place] = 0
            result.segments[place] = -1
            place += 1
        }
    }
}
