import WinnowCore
import WinnowJSON
import WinnowModels

/// Where training takes its batches from, one after another, without end.
public protocol BatchSource {
    /// What the batches come from, for reports and for telling runs apart.
    var fingerprint: String { get }
    /// Tokens of one batch.
    var tokensPerBatch: Int { get }
    mutating func next() throws -> DecoderBatch
    /// Where it stands: enough to go on with the same batches.
    var position: JSONValue { get }
    /// - Returns: false for a position that is none of its own.
    mutating func seek(_ position: JSONValue) -> Bool
}

/// Windows of one stream of tokens, drawn in a new order each time they were all seen.
public struct TokenWindows: BatchSource {
    private let ids: [Int32]
    private let length: Int
    private let batch: Int
    private let seed: UInt64
    private var taken = 0
    private var order: [Int32] = []
    private var orderEpoch = -1
    public let fingerprint: String

    /// - Parameter length: tokens of a window, each with the one after it as its target.
    /// - Returns: nil when there is not one window.
    public init?(_ ids: [Int32], length: Int, batch: Int, seed: UInt64 = 0) {
        guard length > 0, batch > 0, ids.count > length else { return nil }
        self.ids = ids
        self.length = length
        self.batch = batch
        self.seed = seed
        fingerprint = ids.withUnsafeBytes { SHA256.hexadecimal(of: $0) }
    }

    public var windows: Int { (ids.count - 1) / length }
    public var tokensPerBatch: Int { batch * length }

    public mutating func next() -> DecoderBatch {
        DecoderBatch(windows: (0..<batch).map { _ in nextWindow() })
    }

    private mutating func nextWindow() -> [Int32] {
        let epoch = taken / windows
        if epoch != orderEpoch {
            var random = Random(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(epoch))
            order = (0..<Int32(windows)).shuffled(using: &random)
            orderEpoch = epoch
        }
        defer { taken += 1 }
        return window(Int(order[taken % windows]))
    }

    private func window(_ index: Int) -> [Int32] { Array(ids[index * length...(index + 1) * length]) }

    /// All windows in order, the last batch as full as it gets: for evaluation.
    public func inOrder() -> [DecoderBatch] {
        stride(from: 0, to: windows, by: batch).map { first in
            DecoderBatch(windows: (first..<min(first + batch, windows)).map(window))
        }
    }

    public var position: JSONValue { ["windows": .integer(Int64(taken))] }

    public mutating func seek(_ position: JSONValue) -> Bool {
        guard let windows = position["windows"]?.integer, windows >= 0 else { return false }
        taken = windows
        return true
    }
}
