import CWinnow

/// Lists of segments for rows that see only the last slots of their sequences: each row's list begins at its first
/// visible slot, in the middle of a page perhaps.
///
/// Rows whose window still reaches back to the first slot share the sequence's own lists. Memory grows to the
/// largest step and is kept.
final class WindowLists {
    private let heads: Int
    private var segments: UnsafeMutablePointer<wn_segment>
    private var capacity = 0
    private var used = 0

    init(heads: Int) {
        self.heads = heads
        segments = .allocate(capacity: 0)
    }

    deinit { segments.deallocate() }

    /// Starts the lists of a layer's step.
    ///
    /// - Parameter rows: how many may ask for a list.
    func begin(rows: Int, window: Int) {
        used = 0
        let needed = rows * heads * WindowLists.length(window)
        guard needed > capacity else { return }
        segments.deallocate()
        segments = .allocate(capacity: needed)
        segments.initialize(repeating: wn_segment(keys: nil, values: nil, count: 0), count: needed)
        capacity = needed
    }

    /// Segments that a window may lie in: it begins anywhere in a page.
    static func length(_ window: Int) -> Int { (window + KVPagePool.slots - 1) / KVPagePool.slots + 1 }

    /// The lists of one row, one for each head: slots `range` of a sequence's layer.
    func lists(
        of sequence: KVSequence, layer: Int, slots range: Range<Int>
    ) -> (lists: UnsafePointer<wn_segment>, stride: Int) {
        let firstPage = range.lowerBound / KVPagePool.slots
        let pages = (range.upperBound - 1) / KVPagePool.slots - firstPage + 1
        let lists = segments + used
        let heads = sequence.headCount(layer: layer)
        used += heads * pages
        for head in 0..<heads {
            let source = sequence.segments(layer: layer) + head * sequence.segmentStride + firstPage
            let target = lists + head * pages
            target.update(from: source, count: pages)
            let skipped = range.lowerBound % KVPagePool.slots
            target[0].keys += skipped * sequence.slotBytes
            target[0].values += skipped * sequence.slotBytes
            target[0].count -= UInt32(skipped)
        }
        return (UnsafePointer(lists), pages)
    }
}
