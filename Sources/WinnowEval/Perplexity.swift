import WinnowCore
import WinnowModels
import WinnowText
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Perplexity over disjoint windows of a text, exp of the mean negative log-likelihood in nats.
///
/// The tokenizer's own BOS rule is applied once to the whole text; a last partial window is dropped. If the
/// model uses BOS, the first id of every window is replaced by it.
///
/// - Source: the `half` scoring is llama.cpp's (`perplexity`, second half of each window).
public struct Perplexity: Sendable {
    /// The targets of a window that are scored.
    public enum Score: String, Sendable, CaseIterable, Codable {
        /// Those at positions n/2 + 1 … n - 1: each has at least half a window before it.
        case half
        /// Every one but the window's first.
        case all

        func targets(window: Int) -> Range<Int> { self == .half ? window / 2 + 1..<window : 1..<window }
    }

    /// Tokens of a window.
    public var window = 512
    public var score = Score.half
    /// The most windows to score; nil for all.
    public var maxWindows: Int?

    public init() {}

    public struct Result: Sendable, Equatable {
        public var perplexity: Double
        /// Of the perplexity: the standard error of the mean log-likelihood times the perplexity.
        public var standardError: Double
        /// Mean negative log-likelihood of a scored token, in nats.
        public var negativeLogLikelihood: Double
        /// Ids of the whole text.
        public var tokens: Int
        public var scoredTokens: Int
        public var windows: Int
        public var window: Int
        public var score: Score
        /// Whether windows began with BOS.
        public var bos: Bool
        public var activations: ActivationMode
        public var seconds: Double

        public var tokensPerSecond: Double { seconds > 0 ? Double(windows * window) / seconds : 0 }
    }

    /// Scores a text with the model that a runner is bound to.
    ///
    /// - Parameter runner: its `chunk` says how many windows run together, its `logitRows` how many rows of logits.
    /// - Parameter progress: called with the windows done and the windows there are.
    /// - Throws: ``PerplexityError`` for a bad window, a text without one, or logits that are not finite;
    ///   ``ModelError/cancelled``.
    public func evaluate(
        _ text: [UInt8], tokenizer: Tokenizer, on runner: ModelRunner, cancellation: CancellationFlag? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Result {
        let ids = tokenizer.encode(bytes: text, special: .asText, addBOS: tokenizer.addsBOS)
        return try evaluate(
            ids, bos: tokenizer.addsBOS ? tokenizer.bosID : nil, on: runner, cancellation: cancellation,
            progress: progress)
    }

    /// The same over ids.
    public func evaluate(
        _ ids: [TokenID], bos: TokenID?, on runner: ModelRunner, cancellation: CancellationFlag? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Result {
        try runner.model.requireHead()
        let context = runner.model.configuration.contextLength
        let targets = score.targets(window: window)
        guard window >= 2, !targets.isEmpty else { throw PerplexityError.windowTooShort(window, score) }
        guard window <= context else { throw PerplexityError.windowTooLong(window, context: context) }
        let count = min(ids.count / window, maxWindows ?? .max)
        guard count > 0 else { throw PerplexityError.textTooShort(tokens: ids.count, window: window) }

        let start = ContinuousClock.now
        let together = max(1, runner.configuration.chunk / window)
        let sequences = (0..<min(together, count)).map { _ in runner.makeSequence(capacity: window) }
        var losses = [Double](repeating: 0, count: targets.count)
        var sum = 0.0
        var squares = 0.0
        for first in stride(from: 0, to: count, by: together) {
            let batch = (first..<min(first + together, count)).map { index -> [TokenID] in
                var tokens = Array(ids[index * window..<(index + 1) * window])
                if let bos { tokens[0] = bos }
                return tokens
            }
            for sequence in sequences { sequence.reset() }
            // A window longer than a step takes several, and then runs alone.
            for begin in stride(from: 0, to: window, by: runner.configuration.chunk) {
                let part = begin..<min(window, begin + runner.configuration.chunk)
                runner.begin()
                for (tokens, sequence) in zip(batch, sequences) {
                    try tokens[part].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                }
                try runner.run(cancellation: cancellation)
                for (index, tokens) in batch.enumerated() {
                    // The row that predicts target t stands at t - 1.
                    let rows = part.clamped(to: targets.lowerBound - 1..<window - 1)
                    try score(
                        tokens, rows: rows, offset: index * part.count - part.lowerBound,
                        firstTarget: targets.lowerBound, on: runner, into: &losses)
                    guard part.upperBound == window else { continue }
                    for loss in losses {
                        sum += loss
                        squares += loss * loss
                    }
                }
            }
            progress(first + batch.count, count)
        }
        let scored = count * targets.count
        let mean = sum / Double(scored)
        let variance = max(squares / Double(scored) - mean * mean, 0)
        let perplexity = exp(mean)
        return Result(
            perplexity: perplexity,
            standardError: perplexity * (variance / Double(max(scored - 1, 1))).squareRoot(),
            negativeLogLikelihood: mean, tokens: ids.count, scoredTokens: scored, windows: count,
            window: window, score: score, bos: bos != nil, activations: runner.configuration.activations,
            seconds: (ContinuousClock.now - start) / .seconds(1))
    }

    /// Puts -log p(target) of each row into `losses`, rows spread over the pool.
    func score(
        _ tokens: [TokenID], rows: Range<Int>, offset: Int, firstTarget: Int, on runner: ModelRunner,
        into losses: inout [Double]
    ) throws {
        let vocabulary = runner.model.configuration.vocabularySize
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: runner.configuration.logitRows) {
            let batch = start..<min(rows.upperBound, start + runner.configuration.logitRows)
            let logits = try runner.logits(rows: batch.lowerBound + offset..<batch.upperBound + offset)
            losses.withUnsafeMutableBufferPointer { losses in
                nonisolated(unsafe) let losses = losses
                runner.pool.run(chunks: batch.count) { index, _ in
                    let row = UnsafeBufferPointer(
                        rebasing: logits[index * vocabulary..<(index + 1) * vocabulary])
                    let target = batch.lowerBound + index + 1
                    losses[target - firstTarget] =
                        LogProbabilities.logSumExp(row) - Double(row[Int(tokens[target])])
                }
            }
            for row in batch where !losses[row + 1 - firstTarget].isFinite {
                throw PerplexityError.notFinite(position: row)
            }
        }
    }
}

/// Why a perplexity cannot be measured.
public enum PerplexityError: Error, Equatable, Sendable, CustomStringConvertible {
    case windowTooShort(Int, Perplexity.Score)
    case windowTooLong(Int, context: Int)
    case textTooShort(tokens: Int, window: Int)
    case notFinite(position: Int)

    public var description: String {
        switch self {
        case .windowTooShort(let window, let score):
            "a window of \(window) tokens has no target to score with --score \(score.rawValue); give a longer one"
        case .windowTooLong(let window, let context):
            "a window of \(window) tokens is longer than the model's context of \(context)"
        case .textTooShort(let tokens, let window):
            "the text has \(tokens) tokens, less than one window of \(window): give more text or a shorter --window"
        case .notFinite(let position):
            "the model's logits at position \(position) are not finite: its weights are damaged"
        }
    }
}
