import WinnowNumbers

/// What long work will hold in memory at its peak, said before it starts.
public struct MemoryPlan: Sendable, Equatable {
    public struct Item: Sendable, Equatable {
        public let name: String
        public let bytes: Int
    }

    public private(set) var items: [Item] = []

    public init() {}

    public mutating func add(_ name: String, bytes: Int) { items.append(Item(name: name, bytes: bytes)) }

    /// The predicted peak, in bytes.
    public var total: Int { items.reduce(0) { $0 + $1.bytes } }

    /// - Throws: ``MemoryLimitError`` naming the largest item, when the plan is over the limit.
    public func check(limit: Int?) throws(MemoryLimitError) {
        guard let limit, total > limit, let largest = items.max(by: { $0.bytes < $1.bytes }) else { return }
        throw MemoryLimitError(
            needed: total, limit: limit, largest: largest.name, largestBytes: largest.bytes)
    }
}

public struct MemoryLimitError: Error, Equatable, Sendable, CustomStringConvertible {
    public let needed: Int
    public let limit: Int
    public let largest: String
    public let largestBytes: Int

    public var description: String {
        // Sizes that look alike at three digits differ by so much.
        let excess = Format.bytes(needed) == Format.bytes(limit) ? "\(Format.bytes(needed - limit)) " : ""
        return "this needs \(Format.bytes(needed)), \(excess)more than the limit of \(Format.bytes(limit)); "
            + "most of it (\(Format.bytes(largestBytes))) is \(largest)"
    }
}
