/// Key-value pairs in the order of the text; a repeated key keeps its first place and its last value.
///
/// Keys are the same only when their bytes are the same: vocabularies hold tokens that differ in nothing but
/// how a letter is composed.
public struct JSONObject: Sendable, Equatable {
    public private(set) var keys: [String] = []
    private var values: [JSONValue] = []
    /// The place of each key; empty while the object is small and searched from the front.
    private var places: [JSONKey: Int] = [:]

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
        if keys.count > JSONObject.smallCount { return places[JSONKey(key)] }
        return keys.firstIndex { JSONKey($0) == JSONKey(key) }
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        keys.append(key)
        values.append(value)
        if keys.count == JSONObject.smallCount + 1 {
            index()
        } else if keys.count > JSONObject.smallCount {
            places[JSONKey(key)] = keys.count - 1
        }
    }

    private mutating func remove(at place: Int) {
        keys.remove(at: place)
        values.remove(at: place)
        places = [:]
        if keys.count > JSONObject.smallCount { index() }
    }

    private mutating func index() {
        for (place, key) in keys.enumerated() { places[JSONKey(key)] = place }
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
