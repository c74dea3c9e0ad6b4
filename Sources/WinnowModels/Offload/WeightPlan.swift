import WinnowCore
import WinnowNumbers
import WinnowWeights

/// Where weights are while a model runs.
public enum WeightPlacement: String, Sendable, CaseIterable {
    /// Resident when they fit the limit, else streamed.
    case auto
    /// In memory of the process.
    case resident
    /// In the mapped file: the system keeps as many pages as it has room for.
    case mapped
    /// Some blocks in memory, the others read from disk at every step.
    case streamed
}

/// What is wanted of the weights of a runner.
public struct WeightRequest: Sendable {
    public var placement = WeightPlacement.auto
    /// Bytes that the process may hold; nil: no limit.
    public var limit: Int?
    /// Bytes that it holds beside the runner: of a draft, of the program itself.
    public var reservedBytes = 0
    /// Bytes of keys and values that there has to be room for.
    public var cacheBytes = 0
    /// Reads through the page cache: for disks whose files other programs keep there.
    public var readsCached = false
    /// Buffers that blocks are read into.
    public var ringSlots = 2

    public init() {}
}

/// Which weights are in memory and which come from disk.
public struct WeightPlan: Sendable, Equatable {
    /// Never `auto`.
    public internal(set) var placement: WeightPlacement
    public let blocks: Int
    /// Blocks that are read at each step, ascending.
    public internal(set) var streamedBlocks: [Int] = []
    public internal(set) var streamsHead = false
    /// Rows of the embedding are read as tokens ask for them.
    public internal(set) var streamsEmbedding = false
    /// Bytes of weights in memory, the ring left out.
    public internal(set) var residentBytes: Int
    public internal(set) var ringBytes = 0
    /// Bytes that a step reads from disk, however many tokens it takes.
    public internal(set) var bytesPerStep = 0
    /// Whether reads go past the page cache.
    public internal(set) var readsDirectly = false
    /// Bytes a second of the disk, measured before the first step; nil when nothing is streamed.
    public internal(set) var diskBytesPerSecond: Double?

    /// Weights and ring, in memory of the process.
    public var memoryBytes: Int { residentBytes + ringBytes }

    /// Steps a second that the disk allows, each a token of every text: no step is faster than its reads.
    public var predictedStepsPerSecond: Double? {
        diskBytesPerSecond.map { $0 / Double(max(bytesPerStep, 1)) }
    }
}

extension WeightPlan: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        switch placement {
        case .mapped: return "weights mapped: \(blocks) blocks in the file's pages, as many as memory holds"
        case .streamed: break
        case .resident, .auto: return "weights resident: \(Format.bytes(residentBytes)) in memory"
        }
        let resident = (0..<blocks).filter { !streamedBlocks.contains($0) }
        let kept =
            resident.isEmpty
            ? "no block" : "\(resident.count == 1 ? "block" : "blocks") \(WeightPlan.ranges(resident))"
        var line = "weights streamed: \(kept)\(streamsHead ? "" : " and the head") resident "
        line += "(\(Format.bytes(residentBytes))), \(streamedBlocks.count) of \(blocks) blocks"
        line += "\(streamsHead ? " and the head" : "") read at each step (\(Format.bytes(bytesPerStep))) "
        line +=
            "\(readsDirectly ? "past" : "through") the page cache into a ring of \(Format.bytes(ringBytes))"
        if let disk = diskBytesPerSecond, let speed = predictedStepsPerSecond {
            line +=
                "; the disk reads \(Format.fixed(disk / 1e6, 0)) MB/s: at most \(Format.fixed(speed, 2)) steps/s"
        }
        return line
    }

    /// 0-2, 5, 7-8
    static func ranges(_ numbers: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for number in numbers {
            if let last = runs.last, last.upperBound + 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ", ")
    }
}

/// Why no plan can be made.
public enum WeightPlanError: Error, Equatable, Sendable, CustomStringConvertible {
    /// - Parameter fixed: keys, values, workspace and whatever else there is beside weights.
    case limitTooSmall(limit: Int, minimum: Int, fixed: Int)
    case notInFiles(reason: String)

    public var description: String {
        switch self {
        case .limitTooSmall(let limit, let minimum, let fixed):
            "a limit of \(Format.bytes(limit)) is too small: this needs \(Format.bytes(minimum)) at least, "
                + "\(Format.bytes(fixed)) of it for keys, values and the workspace; raise --memory-limit or "
                + "lower --context"
        case .notInFiles(let reason): "these weights cannot be streamed: \(reason)"
        }
    }
}

/// Sizes that a plan is made from.
struct WeightSizes {
    /// Of each block in memory, and of what it is read into.
    var blocks: [Int]
    var slots: [Int]
    /// Blocks that are not in files, such as those that were unpacked when the model was opened.
    var fixedBlocks: Set<Int> = []
    var head: Int
    var headSlot: Int
    /// Parts that a streamed head is read in.
    var headParts: Int
    var canStreamHead: Bool
    /// 0 where the head is the embedding.
    var embedding: Int
    var canStreamEmbedding: Bool
    /// Norms, biases, positions.
    var others: Int

    /// Everything in memory.
    var total: Int { blocks.reduce(0, +) + head + embedding + others }

    /// The plan that reads least within `budget` bytes; nil when even one ring does not fit.
    ///
    /// The head stays before blocks do: with a tied one embeddings then cost no read. Streamed blocks are spread evenly,
    /// so that the reader works on while resident ones are computed.
    func plan(budget: Int, ringSlots: Int, mustStream: Bool = false) -> WeightPlan? {
        if total <= budget, !mustStream {
            return WeightPlan(placement: .resident, blocks: blocks.count, residentBytes: total)
        }
        let candidates = blocks.indices.filter { !fixedBlocks.contains($0) }
        for keepsHead in [true, false] where keepsHead || canStreamHead {
            for kept in stride(from: candidates.count, through: 0, by: -1) {
                let streamed = WeightSizes.spread(candidates, count: candidates.count - kept)
                let stages = streamed.count + (keepsHead ? 0 : headParts)
                // As many stages as buffers would be the stages themselves in memory.
                guard stages > ringSlots else { continue }
                var plan = WeightPlan(placement: .streamed, blocks: blocks.count, residentBytes: others)
                plan.streamedBlocks = streamed
                plan.streamsHead = !keepsHead
                plan.streamsEmbedding = canStreamEmbedding && (embedding > 0 || !keepsHead)
                let slot = max(streamed.map { slots[$0] }.max() ?? 0, keepsHead ? 0 : headSlot)
                plan.ringBytes = ringSlots * slot
                for block in blocks.indices where !streamed.contains(block) {
                    plan.residentBytes += blocks[block]
                }
                if keepsHead { plan.residentBytes += head }
                if !plan.streamsEmbedding { plan.residentBytes += embedding }
                plan.bytesPerStep = streamed.reduce(keepsHead ? 0 : head) { $0 + slots[$1] }
                if plan.memoryBytes <= budget { return plan }
            }
        }
        return nil
    }

    /// The fewest bytes that any plan holds.
    ///
    /// - Parameter mustStream: of plans that stream; nil when there is none.
    func minimum(ringSlots: Int, mustStream: Bool = false) -> Int? {
        func fits(_ budget: Int) -> Bool {
            plan(budget: budget, ringSlots: ringSlots, mustStream: mustStream) != nil
        }
        var low = 0
        // In small models the buffers may be larger than the weights.
        var high = total + ringSlots * ((slots + [headSlot]).max() ?? 0)
        guard fits(high) else { return nil }
        while low < high {
            let middle = (low + high) / 2
            if fits(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// `count` of the values at even distances.
    static func spread(_ values: [Int], count: Int) -> [Int] {
        values.indices.filter { ($0 + 1) * count / values.count > $0 * count / values.count }.map {
            values[$0]
        }
    }
}
