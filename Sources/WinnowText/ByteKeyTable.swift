/// A hash of bytes, eight at a time. Not for keys that an enemy chooses to collide: tables keyed with it are
/// built once from a vocabulary, or overwrite on collision.
@inline(__always)
func hashBytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let multiplier: UInt64 = 0x9E37_79B9_7F4A_7C15
    var hash = UInt64(truncatingIfNeeded: count) &* multiplier
    var rest = count
    var pointer = UnsafeRawPointer(start)
    while rest >= 8 {
        hash = fold(hash ^ pointer.loadUnaligned(as: UInt64.self), multiplier)
        pointer += 8
        rest -= 8
    }
    if rest >= 4 {
        let low = UInt64(pointer.loadUnaligned(as: UInt32.self))
        let high = UInt64((pointer + (rest - 4)).loadUnaligned(as: UInt32.self))
        hash = fold(hash ^ (low | high << 32), multiplier)
    } else if rest > 0 {
        let first = UInt64(pointer.load(as: UInt8.self))
        let middle = UInt64((pointer + rest / 2).load(as: UInt8.self))
        let last = UInt64((pointer + (rest - 1)).load(as: UInt8.self))
        hash = fold(hash ^ (first | middle << 8 | last << 16), multiplier)
    }
    return hash
}

@inline(__always)
private func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = (left ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: right)
    return product.high ^ product.low
}

/// Ids of byte strings: one blob, one open-addressing table, no allocation per key.
struct ByteKeyTable: Sendable {
    /// All keys one after the other; key i is `blob[offsets[i]..<offsets[i + 1]]`.
    private(set) var blob: [UInt8] = []
    private(set) var offsets: [Int32] = [0]
    /// Key number plus one, 0 for free, and the upper half of the key's hash above: most others differ there.
    private var slots: [UInt64]

    var count: Int { offsets.count - 1 }

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        slots = [UInt64](repeating: 0, count: size)
        offsets.reserveCapacity(capacity + 1)
        blob.reserveCapacity(capacity * 8)
    }

    /// Adds the next key; returns the number of the equal key that was there before, when there was one.
    mutating func append(_ key: UnsafeBufferPointer<UInt8>) -> Int? {
        let number = count
        blob.append(contentsOf: key)
        offsets.append(Int32(blob.count))
        if offsets.count * 2 > slots.count { grow() }
        return place(number)
    }

    mutating func append(_ key: String) -> Int? {
        var key = key
        return key.withUTF8 { append($0) }
    }

    /// The number of a key, nil when it was never added.
    func find(_ key: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let start = key.baseAddress, key.count > 0 else { return findEmpty() }
        let hash = hashBytes(start, key.count)
        return slots.withUnsafeBufferPointer { slots in
            let mask = slots.count - 1
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 {
                if (slots[slot] ^ hash) >> 32 == 0 {
                    let number = Int(truncatingIfNeeded: slots[slot] & 0xFFFF_FFFF) - 1
                    if equals(number, start, key.count) { return number }
                }
                slot = (slot + 1) & mask
            }
            return nil
        }
    }

    func find(_ key: String) -> Int? {
        var key = key
        return key.withUTF8 { find($0) }
    }

    private func findEmpty() -> Int? { (0..<count).first { offsets[$0] == offsets[$0 + 1] } }

    private func equals(_ number: Int, _ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let from = Int(offsets[number])
        guard Int(offsets[number + 1]) - from == count else { return false }
        return blob.withUnsafeBufferPointer { blob in
            for index in 0..<count where blob[from + index] != start[index] { return false }
            return true
        }
    }

    private mutating func grow() {
        slots = [UInt64](repeating: 0, count: slots.count * 2)
        for number in 0..<(count - 1) { _ = place(number) }
    }

    private mutating func place(_ number: Int) -> Int? {
        let from = Int(offsets[number])
        let length = Int(offsets[number + 1]) - from
        guard length > 0 else {
            let known = findEmpty()
            return known == number ? nil : known
        }
        let mask = slots.count - 1
        let hash = blob.withUnsafeBufferPointer { hashBytes($0.baseAddress! + from, length) }
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if (slots[slot] ^ hash) >> 32 == 0 {
                let other = Int(truncatingIfNeeded: slots[slot] & 0xFFFF_FFFF) - 1
                if isEqual(other, number) { return other }
            }
            slot = (slot + 1) & mask
        }
        slots[slot] = (hash & ~0xFFFF_FFFF) | UInt64(number + 1)
        return nil
    }

    private func isEqual(_ left: Int, _ right: Int) -> Bool {
        let a = Int(offsets[left])
        let b = Int(offsets[right])
        let length = Int(offsets[right + 1]) - b
        guard Int(offsets[left + 1]) - a == length else { return false }
        for index in 0..<length where blob[a + index] != blob[b + index] { return false }
        return true
    }
}
