/// Byte strings and their numbers as a trie in one array: all pieces that begin at a place are found in one walk.
///
/// A double array: the child of a node by a byte is at (the node's base XOR the byte) when the entry there says so.
/// No two nodes share a base, so that the byte alone tells whose child an entry is.
struct PieceTrie: Sendable {
    /// Base in the high half, number plus one in 24 bits, the byte that leads here in the lowest; 0 for free.
    let units: [UInt64]

    /// The root is no entry; its children are the second 256.
    static let root: UInt64 = 256 << 32

    @inline(__always)
    static func child(
        of unit: UInt64, by byte: UInt8, in units: UnsafeBufferPointer<UInt64>
    ) -> UInt64? {
        // A node without children has base 0, and the first 256 entries stay free.
        let place = Int(truncatingIfNeeded: unit >> 32) ^ Int(byte)
        let child = units[place]
        return child != 0 && UInt8(truncatingIfNeeded: child) == byte ? child : nil
    }

    /// The number of the piece that ends at a node, -1 for none.
    @inline(__always)
    static func number(_ unit: UInt64) -> Int { Int(truncatingIfNeeded: unit >> 8 & 0xFF_FFFF) - 1 }

    /// - Parameter pieces: pieces and numbers below 2^24 - 1; of equal pieces the first counts, empty ones do not.
    init(_ pieces: [(text: [UInt8], number: Int)]) {
        var builder = Builder(pieces.filter { !$0.text.isEmpty && $0.number < 0xFF_FFFF })
        builder.build()
        units = builder.units
    }

    private struct Builder {
        private let pieces: [(text: [UInt8], number: Int)]
        private(set) var units: [UInt64] = [UInt64](repeating: 0, count: 512)
        /// A bit for each entry that is taken, and for each that is a base already.
        private var taken: [UInt64] = [UInt64](repeating: 0, count: 8)
        private var bases: [UInt64] = [UInt64](repeating: 0, count: 8)
        /// Blocks of 256 entries that are still worth a look.
        private var open: [(block: Int, misses: Int)] = [(1, 0)]

        init(_ pieces: [(text: [UInt8], number: Int)]) {
            // The first eight bytes decide most comparisons.
            func head(_ text: [UInt8]) -> UInt64 {
                var head: UInt64 = 0
                for index in 0..<8 { head = head << 8 | (index < text.count ? UInt64(text[index]) : 0) }
                return head
            }
            let heads = pieces.map { head($0.text) }
            let order = pieces.indices.sorted { left, right in
                if heads[left] != heads[right] { return heads[left] < heads[right] }
                let (a, b) = (pieces[left].text, pieces[right].text)
                if a.lexicographicallyPrecedes(b) { return true }
                return a == b && left < right
            }
            self.pieces = order.map { pieces[$0] }
        }

        mutating func build() {
            var stack: [(begin: Int, end: Int, depth: Int, place: Int)] = [(0, pieces.count, 0, -1)]
            var labels: [UInt8] = []
            var starts: [Int] = []
            while let (begin, end, depth, place) = stack.popLast() {
                labels.removeAll(keepingCapacity: true)
                starts.removeAll(keepingCapacity: true)
                for index in begin..<end where pieces[index].text.count > depth {
                    let byte = pieces[index].text[depth]
                    if labels.last != byte {
                        labels.append(byte)
                        starts.append(index)
                    }
                }
                guard !labels.isEmpty else { continue }
                let base = place < 0 ? 256 : self.base(for: labels)
                bases[base >> 6] |= 1 << UInt64(base & 63)
                if place >= 0 { units[place] |= UInt64(base) << 32 }
                starts.append(end)
                for (index, byte) in labels.enumerated() {
                    let child = base ^ Int(byte)
                    let first = pieces[starts[index]]
                    let number = first.text.count == depth + 1 ? first.number + 1 : 0
                    taken[child >> 6] |= 1 << UInt64(child & 63)
                    units[child] = UInt64(number) << 8 | UInt64(byte)
                    stack.append((starts[index], starts[index + 1], depth + 1, child))
                }
            }
        }

        /// A base whose entries for all labels are free: in an open block, or in a new one.
        private mutating func base(for labels: [UInt8]) -> Int {
            var index = open.count - 1
            while index >= 0 {
                let start = open[index].block << 8
                for word in 0..<4 {
                    var free = ~taken[start / 64 + word]
                    while free != 0 {
                        let entry = start + word * 64 + free.trailingZeroBitCount
                        free &= free - 1
                        let base = entry ^ Int(labels[0])
                        if !isSet(bases, base),
                            labels.dropFirst().allSatisfy({ !isSet(taken, base ^ Int($0)) })
                        {
                            return base
                        }
                    }
                }
                // Blocks that were in vain often are full, or as good as full.
                open[index].misses += 1
                if open[index].misses > 6 { open.remove(at: index) }
                index -= 1
            }
            let block = units.count >> 8
            units.append(contentsOf: repeatElement(0, count: 256))
            taken.append(contentsOf: repeatElement(0, count: 4))
            bases.append(contentsOf: repeatElement(0, count: 4))
            if open.count >= 12 { open.removeFirst() }
            open.append((block, 0))
            return block << 8
        }

        private func isSet(_ bits: [UInt64], _ place: Int) -> Bool {
            bits[place >> 6] & 1 << UInt64(place & 63) != 0
        }
    }
}
