/// How often each word occurs in texts: one blob of bytes, one open-addressing table.
struct WordCounter: Sendable {
    private var blob: [UInt8] = []
    /// Word i is `blob[offsets[i]..<offsets[i + 1]]`.
    private var offsets: [Int] = [0]
    private var hashes: [UInt64] = []
    private(set) var counts: [Int64] = []
    /// Word number plus one, 0 for free.
    private var slots = [UInt32](repeating: 0, count: 1 << 12)

    var wordCount: Int { counts.count }

    mutating func add(_ start: UnsafePointer<UInt8>, _ length: Int, times: Int64 = 1) {
        let hash = hashBytes(start, length)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let word = Int(slots[slot]) - 1
            if hashes[word] == hash, isWord(word, start, length) {
                counts[word] += times
                return
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        blob.append(contentsOf: UnsafeBufferPointer(start: start, count: length))
        offsets.append(blob.count)
        hashes.append(hash)
        counts.append(times)
        slots[slot] = UInt32(counts.count)
        if counts.count * 2 > slots.count { grow() }
    }

    private func isWord(_ word: Int, _ start: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        let first = offsets[word]
        guard offsets[word + 1] - first == length else { return false }
        return blob.withUnsafeBufferPointer { bytes in
            for index in 0..<length where bytes[first + index] != start[index] { return false }
            return true
        }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (word, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(word + 1)
        }
    }

    /// Calls `body` with each word and how often it occurs.
    func forEach(_ body: (UnsafeBufferPointer<UInt8>, Int64) -> Void) {
        blob.withUnsafeBufferPointer { bytes in
            for word in counts.indices {
                body(UnsafeBufferPointer(rebasing: bytes[offsets[word]..<offsets[word + 1]]), counts[word])
            }
        }
    }
}
