/// Numbers of pairs of tokens, in the order in which pairs were first seen: open addressing, nothing is taken
/// out.
struct PairTable {
    private(set) var keys: [UInt64] = []
    /// Number of a pair plus one, 0 for free.
    private var slots = [UInt32](repeating: 0, count: 1 << 12)

    static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(left)) << 32 | UInt64(UInt32(right))
    }

    private func place(_ key: UInt64) -> Int {
        let mixed = (key ^ key >> 32) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed >> 24) & (slots.count - 1)
    }

    /// The number of a pair; a new one for a new pair.
    mutating func number(_ key: UInt64) -> Int {
        var slot = place(key)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if keys[number] == key { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        keys.append(key)
        slots[slot] = UInt32(keys.count)
        if keys.count * 2 > slots.count { grow() }
        return keys.count - 1
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (number, key) in keys.enumerated() {
            var slot = place(key)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number + 1)
        }
    }
}
