/// Merges a word of any length in O(n log n): a linked list of pieces and a heap of pairs.
struct LongWordMerger {
    private struct Candidate {
        var value: UInt64
        var position: Int32
        /// The ids it was made of; when they changed, the candidate is stale.
        var left: TokenID
        var right: TokenID

        @inline(__always)
        static func < (a: Candidate, b: Candidate) -> Bool {
            // Ranks stand in the high half; merges of SentencePiece models may share one.
            a.value >> 32 < b.value >> 32 || (a.value >> 32 == b.value >> 32 && a.position < b.position)
        }
    }

    private var ids: [TokenID] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var heap: [Candidate] = []

    /// Merges the first `size` ids of `output` in place; returns how many are left.
    mutating func merge(
        _ size: Int, merges: UnsafeBufferPointer<MergeTable.Slot>, in output: UnsafeMutablePointer<TokenID>
    ) -> Int {
        ids.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        previous.removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        ids.append(contentsOf: UnsafeBufferPointer(start: output, count: size))
        guard !ids.isEmpty else { return 0 }
        let last = ids.count - 1
        for index in 0...last {
            next.append(index < last ? Int32(index + 1) : -1)
            previous.append(Int32(index - 1))
        }
        for index in 0..<last { push(index, merges) }

        while let best = pop() {
            let place = Int(best.position)
            guard ids[place] == best.left, next[place] >= 0 else { continue }
            let right = Int(next[place])
            guard ids[right] == best.right else { continue }
            ids[place] = TokenID(truncatingIfNeeded: best.value)
            ids[right] = -1
            next[place] = next[right]
            if next[right] >= 0 {
                previous[Int(next[right])] = Int32(place)
                push(place, merges)
            }
            if previous[place] >= 0 { push(Int(previous[place]), merges) }
        }

        var count = 0
        var place = 0
        while place >= 0 {
            output[count] = ids[place]
            count += 1
            place = Int(next[place])
        }
        return count
    }

    /// Adds the pair that starts at a piece, when a merge joins it.
    private mutating func push(_ place: Int, _ merges: UnsafeBufferPointer<MergeTable.Slot>) {
        let left = ids[place]
        let right = ids[Int(next[place])]
        let value = MergeTable.find(left, right, in: merges)
        guard value != MergeTable.none else { return }
        heap.append(Candidate(value: value, position: Int32(place), left: left, right: right))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() -> Candidate? {
        guard let top = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return top }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < last else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return top
    }
}
