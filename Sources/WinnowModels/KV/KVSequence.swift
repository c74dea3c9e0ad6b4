import CWinnow

/// What one sequence has cached: for each (layer, KV head) a list of segments, one a page.
///
/// Attention sees only the list: windows, sinks and shared prefixes are other lists over the same pages.
public final class KVSequence {
    /// Tokens whose keys and values are committed.
    public internal(set) var length = 0
    /// Tokens it can hold.
    public let capacity: Int

    private let pool: KVPagePool
    private let heads: Int
    private let pagesPerList: Int
    /// Pages held by each layer's lists.
    private var pageCounts: [Int]
    private let pages: UnsafeMutablePointer<Int32>
    private let segments: UnsafeMutablePointer<wn_segment>

    init(pool: KVPagePool, layers: Int, heads: Int, capacity: Int) {
        self.pool = pool
        self.heads = heads
        self.capacity = capacity
        pagesPerList = (capacity + KVPagePool.slots - 1) / KVPagePool.slots
        pageCounts = Array(repeating: 0, count: layers)
        let count = max(layers * heads * pagesPerList, 1)
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
    public func truncate(to newLength: Int) {
        precondition(newLength >= 0 && newLength <= length, "\(newLength) of \(length) tokens")
        length = newLength
        let keep = (newLength + KVPagePool.slots - 1) / KVPagePool.slots
        for layer in pageCounts.indices where pageCounts[layer] > keep {
            for head in 0..<heads {
                for index in keep..<pageCounts[layer] { pool.release(pages[list(layer, head) + index]) }
            }
            pageCounts[layer] = keep
        }
    }

    private func releasePages() {
        for layer in pageCounts.indices {
            for head in 0..<heads {
                for index in 0..<pageCounts[layer] { pool.release(pages[list(layer, head) + index]) }
            }
            pageCounts[layer] = 0
        }
    }

    private func list(_ layer: Int, _ head: Int) -> Int { (layer * heads + head) * pagesPerList }

    /// Takes the pages that a layer needs for `slots` slots.
    func ensure(layer: Int, slots: Int) {
        precondition(slots <= capacity, "\(slots) slots in a sequence for \(capacity)")
        let needed = (slots + KVPagePool.slots - 1) / KVPagePool.slots
        while pageCounts[layer] < needed {
            for head in 0..<heads {
                let index = list(layer, head) + pageCounts[layer]
                let page = pool.take()
                pages[index] = page
                segments[index] = wn_segment(
                    keys: pool.keys(page), values: pool.values(page), count: UInt32(KVPagePool.slots))
            }
            pageCounts[layer] += 1
        }
    }

    /// The first list of a layer; the next head's stands `segmentStride` further.
    func segments(layer: Int) -> UnsafePointer<wn_segment> { UnsafePointer(segments + list(layer, 0)) }
    var segmentStride: Int { pagesPerList }
    /// Bytes of one key or one value.
    var slotBytes: Int { pool.headWidth * pool.type.byteCount }
    func segmentCount(layer: Int) -> Int { pageCounts[layer] }

    /// Where the key and the value of a slot stand.
    func slot(layer: Int, head: Int, at position: Int) -> (
        key: UnsafeMutableRawPointer, value: UnsafeMutableRawPointer
    ) {
        let page = pages[list(layer, head) + position / KVPagePool.slots]
        let offset = position % KVPagePool.slots * pool.headWidth * pool.type.byteCount
        return (pool.keys(page) + offset, pool.values(page) + offset)
    }
}
