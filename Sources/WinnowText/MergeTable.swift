/// Merges by the pair of ids they join: open addressing, one cache line per lookup in the common case.
struct MergeTable: Sendable {
    /// No merge; greater than any rank.
    static let none = UInt64.max

    struct Slot {
        var pair: UInt64
        /// Rank in the high half, the merged id in the low half: comparing values compares ranks.
        var value: UInt64
    }

    let slots: [Slot]

    /// - Parameter scores: by token; merges whose tokens have the same score share a rank. Empty: none do.
    init(_ merges: [TokenizerDefinition.Merge], scores: [Float] = []) {
        var size = 16
        while size < merges.count * 2 { size *= 2 }
        var slots = [Slot](repeating: Slot(pair: .max, value: MergeTable.none), count: size)
        var rank = 0
        for (index, merge) in merges.enumerated() {
            if scores.isEmpty || index == 0
                || scores[Int(merge.merged)] != scores[Int(merges[index - 1].merged)]
            {
                rank = index
            }
            let pair = MergeTable.pair(merge.left, merge.right)
            var slot = MergeTable.slot(pair, mask: size - 1)
            while slots[slot].value != MergeTable.none, slots[slot].pair != pair {
                slot = (slot + 1) & (size - 1)
            }
            // A merge that stands twice counts at its last place, as in Hugging Face's tokenizers.
            slots[slot] = Slot(
                pair: pair, value: UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merge.merged)))
        }
        self.slots = slots
    }

    @inline(__always)
    static func pair(_ left: TokenID, _ right: TokenID) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    @inline(__always)
    static func slot(_ pair: UInt64, mask: Int) -> Int {
        Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    }

    @inline(__always)
    static func find(_ left: TokenID, _ right: TokenID, in slots: UnsafeBufferPointer<Slot>) -> UInt64 {
        let pair = pair(left, right)
        let mask = slots.count - 1
        var slot = slot(pair, mask: mask)
        while true {
            let entry = slots[slot]
            if entry.pair == pair || entry.value == none { return entry.value }
            slot = (slot + 1) & mask
        }
    }
}
