/// Key-value pairs in the order of the text; a repeated key keeps its first place and its last value.
///
/// Keys are the same only when their bytes are the same: vocabularies hold tokens that differ in nothing but
/// how a letter is composed.
public struct JSONObject: Sendable, Equatable {
    public private(set) var keys: [String] = []
    private var values: [JSONValue] = []
    /// The place of each key; empty while the object is small and searched from the front.
    private var places = JSONKeyIndex()

    private static let smallCount = 8

    public init() {}

    public init(_ pairs: [(String, JSONValue)]) {
        for (key, value) in pairs { self[key] = value }
    }

    public var count: Int { keys.count }

    public subscript(key: String) -> JSONValue? {
        get { place(of: key).map { values[$0] } }
        set {
            switch (place(of: key), newValue) {
            case (let place?, let value?): values[place] = value
            case (let place?, nil): remove(at: place)
            case (nil, let value?): append(key, value)
            case (nil, nil): break
            }
        }
    }

    /// Pairs in order.
    public var pairs: [(key: String, value: JSONValue)] {
        keys.indices.map { (keys[$0], values[$0]) }
    }

    /// Equal keys in the same order with equal values.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.keys.count == right.keys.count
            && left.keys.indices.allSatisfy { JSONKey(left.keys[$0]) == JSONKey(right.keys[$0]) }
            && left.values == right.values
    }

    private func place(of key: String) -> Int? {
        if keys.count > JSONObject.smallCount { return places.find(key, in: keys) }
        return keys.firstIndex { JSONKey($0) == JSONKey(key) }
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        keys.append(key)
        values.append(value)
        if keys.count == JSONObject.smallCount + 1 {
            index()
        } else if keys.count > JSONObject.smallCount {
            places.insert(keys.count - 1, in: keys)
        }
    }

    private mutating func remove(at place: Int) {
        keys.remove(at: place)
        values.remove(at: place)
        places = JSONKeyIndex()
        if keys.count > JSONObject.smallCount { index() }
    }

    private mutating func index() {
        for place in keys.indices { places.insert(place, in: keys) }
    }
}

/// Places of keys in a list, by their bytes: open addressing, seeded so that nobody can choose keys that collide.
private struct JSONKeyIndex: Sendable {
    /// Place plus one, 0 for free, and the upper half of the hash above.
    private var slots: [UInt64] = []

    private static let seed = UInt64.random(in: .min ... .max)

    func find(_ key: String, in keys: [String]) -> Int? {
        guard !slots.isEmpty else { return nil }
        let hash = JSONKeyIndex.hash(key)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if (slots[slot] ^ hash) >> 32 == 0 {
                let place = Int(truncatingIfNeeded: slots[slot] & 0xFFFF_FFFF) - 1
                if JSONKey(keys[place]) == JSONKey(key) { return place }
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// Adds the place of a key that is not there yet; those before it were added in order.
    mutating func insert(_ place: Int, in keys: [String]) {
        if (place + 1) * 2 > slots.count {
            slots = [UInt64](repeating: 0, count: max(32, slots.count * 2))
            for earlier in 0..<place { put(earlier, JSONKeyIndex.hash(keys[earlier])) }
        }
        put(place, JSONKeyIndex.hash(keys[place]))
    }

    private mutating func put(_ place: Int, _ hash: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = (hash & ~0xFFFF_FFFF) | UInt64(place + 1)
    }

    private static func hash(_ key: String) -> UInt64 {
        var key = key
        return key.withUTF8 { bytes in
            var hash = seed ^ UInt64(bytes.count)
            func mix(_ word: UInt64) {
                let product = (hash ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ seed | 1)
                hash = product.high ^ product.low
            }
            var index = 0
            while index + 8 <= bytes.count {
                mix(UnsafeRawPointer(bytes.baseAddress! + index).loadUnaligned(as: UInt64.self))
                index += 8
            }
            var last: UInt64 = 0
            while index < bytes.count {
                last = last << 8 | UInt64(bytes[index])
                index += 1
            }
            mix(last)
            mix(0xA076_1D64_78BD_642F)
            return hash
        }
    }
}

/// A string compared and hashed by its bytes, not by canonical equivalence.
struct JSONKey: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: JSONKey, right: JSONKey) -> Bool {
        left.text.utf8.count == right.text.utf8.count && left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        let fast: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if fast == nil { for byte in text.utf8 { hasher.combine(byte) } }
        hasher.combine(UInt8(0xFF))
    }
}
