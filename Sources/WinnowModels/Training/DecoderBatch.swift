import WinnowCore

/// Sequences of one length that a training step runs over together.
public struct DecoderBatch: Sendable {
    public let sequences: Int
    public let length: Int
    /// `[sequences * length]`.
    public let ids: [Int32]
    /// The token after each; below 0: not scored.
    public let targets: [Int32]
    /// The position of each within its sequence where its document begins: what attention may see. nil: 0.
    public let starts: [Int32]?
    /// Where it ends: the position after its last token. Encoders see all up to there; nil: the sequence's end.
    public let ends: [Int32]?

    /// - Precondition: as many ids and targets as tokens.
    public init(
        sequences: Int, length: Int, ids: [Int32], targets: [Int32], starts: [Int32]? = nil,
        ends: [Int32]? = nil
    ) {
        let tokens = sequences * length
        precondition(
            sequences > 0 && length > 0 && ids.count == tokens && targets.count == tokens
                && (starts?.count ?? tokens) == tokens && (ends?.count ?? tokens) == tokens,
            "\(ids.count) ids and \(targets.count) targets for \(sequences) sequences of \(length)")
        self.sequences = sequences
        self.length = length
        self.ids = ids
        self.targets = targets
        self.starts = starts
        self.ends = ends
    }

    /// Windows of `length + 1` ids: each predicts its next.
    public init(windows: [[Int32]]) {
        let length = windows[0].count - 1
        self.init(
            sequences: windows.count, length: length, ids: windows.flatMap { $0.dropLast() },
            targets: windows.flatMap { $0.dropFirst() })
    }

    public var tokens: Int { ids.count }
    /// Targets that count.
    public var scored: Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }

    /// Positions within documents, from 0.
    var positions: [Int32] {
        (0..<tokens).map { token in Int32(token % length) - (starts?[token] ?? 0) }
    }
}
