/// Pairs that may be merged: the most frequent first, of equals the one with the lowest ids.
struct PairQueue {
    struct Entry {
        /// How often the pair occurred when this was put in.
        var count: Int64
        var key: UInt64
        /// The pair's number.
        var pair: Int
        /// Words that gained the pair: a range of the pool of positions.
        var words: Range<Int>

        func comesBefore(_ other: Entry) -> Bool {
            count != other.count ? count > other.count : key < other.key
        }
    }

    private var heap: [Entry] = []

    var isEmpty: Bool { heap.isEmpty }

    mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !entry.comesBefore(heap[parent]) { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func pop() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty { sink(last) }
        return first
    }

    /// Puts the first one back with another count.
    mutating func recount(_ count: Int64) {
        var entry = heap[0]
        entry.count = count
        sink(entry)
    }

    var first: Entry? { heap.first }

    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, heap[child + 1].comesBefore(heap[child]) { child += 1 }
            if !heap[child].comesBefore(entry) { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}
