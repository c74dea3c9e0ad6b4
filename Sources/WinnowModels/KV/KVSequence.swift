import CWinnow
import WinnowIO

/// What one sequence has cached: for each (layer, KV head) a list of segments, one a page.
///
/// Attention sees only the list: windows, sinks and shared prefixes are other lists over the same pages.
public final class KVSequence {
    /// Tokens whose keys and values are committed.
    public internal(set) var length = 0
    /// Tokens it can hold.
    public let capacity: Int

    /// What runs beside the model for this sequence. Keys and values depend on it: another one forgets them.
    public var adapter: RunningAdapter? {
        didSet { if adapter !== oldValue { reset() } }
    }

    private let pool: KVPagePool
    /// KV heads of each layer.
    private let heads: [Int]
    /// Lists before each layer's first.
    private let firstLists: [Int]
    private let pagesPerList: Int
    /// Pages of each layer's lists, from the first slot on; the first few may be freed.
    private var pageCounts: [Int]
    private var freedCounts: [Int]
    private let pages: UnsafeMutablePointer<Int32>
    private let segments: UnsafeMutablePointer<wn_segment>

    /// - Parameter heads: KV heads of each layer.
    init(pool: KVPagePool, heads: [Int], capacity: Int) {
        self.pool = pool
        self.heads = heads
        var lists = 0
        firstLists = heads.map {
            lists += $0
            return lists - $0
        }
        self.capacity = capacity
        pagesPerList = (capacity + KVPagePool.slots - 1) / KVPagePool.slots
        pageCounts = Array(repeating: 0, count: heads.count)
        freedCounts = pageCounts
        let count = max(lists * pagesPerList, 1)
        pages = .allocate(capacity: count)
        pages.initialize(repeating: -1, count: count)
        segments = .allocate(capacity: count)
        segments.initialize(repeating: wn_segment(keys: nil, values: nil, count: 0), count: count)
    }

    deinit {
        releasePages()
        pages.deallocate()
        segments.deallocate()
    }

    /// Forgets everything; the pages go back to the pool.
    public func reset() {
        releasePages()
        length = 0
    }

    /// Forgets the tokens from `length` on; whole pages past it go back to the pool.
    ///
    /// - Returns: the tokens that are left: `newLength`, or 0 where pages that a window reaches from there were freed.
    @discardableResult
    public func truncate(to newLength: Int) -> Int {
        precondition(newLength >= 0 && newLength <= length, "\(newLength) of \(length) tokens")
        guard
            newLength == length
                || freedCounts.allSatisfy({ $0 == 0 || newLength >= length - KVSequence.slack })
        else {
            reset()
            return 0
        }
        length = newLength
        let keep = (newLength + KVPagePool.slots - 1) / KVPagePool.slots
        for layer in pageCounts.indices where pageCounts[layer] > keep {
            for head in 0..<heads[layer] {
                for index in keep..<pageCounts[layer] { pool.release(pages[list(layer, head) + index]) }
            }
            pageCounts[layer] = keep
        }
        return newLength
    }

    /// Tokens that a sequence can go back without losing pages that its windows need.
    static let slack = 128

    /// Gives back the pages of a layer that no later row sees through its window.
    func freePages(layer: Int, outside window: Int) {
        let first = (length + 1 - window - KVSequence.slack) / KVPagePool.slots
        while freedCounts[layer] < min(first, pageCounts[layer]) {
            for head in 0..<heads[layer] { pool.release(pages[list(layer, head) + freedCounts[layer]]) }
            freedCounts[layer] += 1
        }
    }

    private func releasePages() {
        for layer in pageCounts.indices {
            for head in 0..<heads[layer] {
                for index in freedCounts[layer]..<pageCounts[layer] {
                    pool.release(pages[list(layer, head) + index])
                }
            }
            pageCounts[layer] = 0
            freedCounts[layer] = 0
        }
    }

    private func list(_ layer: Int, _ head: Int) -> Int { (firstLists[layer] + head) * pagesPerList }

    /// A sequence that begins with the first `length` tokens of this one. Both read the same pages; who first writes
    /// into one gets a copy of its own.
    ///
    /// - Returns: nil where pages behind a window were given back.
    public func fork(length: Int, capacity: Int) -> KVSequence? {
        precondition(length <= self.length && length <= capacity, "\(length) of \(self.length) tokens")
        guard freedCounts.allSatisfy({ $0 == 0 }) else { return nil }
        let copy = KVSequence(pool: pool, heads: heads, capacity: capacity)
        copy.adapter = adapter
        copy.length = length
        let count = (length + KVPagePool.slots - 1) / KVPagePool.slots
        for layer in heads.indices {
            copy.pageCounts[layer] = count
            for head in 0..<heads[layer] {
                for index in 0..<count {
                    let page = pages[list(layer, head) + index]
                    pool.retain(page)
                    copy.place(page, at: copy.list(layer, head) + index)
                }
            }
        }
        return copy
    }

    private func place(_ page: Int32, at index: Int) {
        pages[index] = page
        segments[index] = wn_segment(
            keys: pool.keys(page), values: pool.values(page), count: UInt32(KVPagePool.slots))
    }

    /// Takes the pages that a layer needs for `slots` slots, and a copy of the one that is written next where it is
    /// shared.
    func ensure(layer: Int, slots: Int) {
        precondition(slots <= capacity, "\(slots) slots in a sequence for \(capacity)")
        let written = length / KVPagePool.slots
        if length % KVPagePool.slots != 0, written < pageCounts[layer] {
            for head in 0..<heads[layer] {
                let index = list(layer, head) + written
                guard pool.isShared(pages[index]) else { continue }
                let page = pool.copy(pages[index])
                pool.release(pages[index])
                place(page, at: index)
            }
        }
        let needed = (slots + KVPagePool.slots - 1) / KVPagePool.slots
        while pageCounts[layer] < needed {
            for head in 0..<heads[layer] {
                let index = list(layer, head) + pageCounts[layer]
                place(pool.take(), at: index)
            }
            pageCounts[layer] += 1
        }
    }

    func headCount(layer: Int) -> Int { heads[layer] }

    /// The first list of a layer; the next head's stands `segmentStride` further.
    func segments(layer: Int) -> UnsafePointer<wn_segment> { UnsafePointer(segments + list(layer, 0)) }
    var segmentStride: Int { pagesPerList }
    /// Bytes of one key or one value.
    var slotBytes: Int { pool.slotBytes }
    func segmentCount(layer: Int) -> Int { pageCounts[layer] }

    /// Where the key and the value of a slot stand.
    func slot(layer: Int, head: Int, at position: Int) -> (
        key: UnsafeMutableRawPointer, value: UnsafeMutableRawPointer
    ) {
        let page = pages[list(layer, head) + position / KVPagePool.slots]
        let offset = position % KVPagePool.slots * pool.slotBytes
        return (pool.keys(page) + offset, pool.values(page) + offset)
    }
}

extension ModelConfiguration {
    /// KV heads of each layer.
    var keyValueHeadsOfLayers: [Int] { (0..<layers).map { shape(ofLayer: $0).keyValueHeads } }

    /// Lists of pages that a sequence has: one for each (layer, KV head).
    var listsPerSequence: Int { keyValueHeadsOfLayers.reduce(0, +) }
}
