import WinnowCore
import WinnowModels
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How far what a model says is from what another says, over the windows of a text, each position after its first.
public struct OutputComparison: Sendable {
    /// Tokens of a window.
    public var window = 512
    public var maxWindows = 16

    public init() {}

    public struct Result: Sendable, Equatable {
        /// KL(p || q) of each position in nats, p the first model's distribution; ascending.
        public var divergences: [Double]
        /// Positions at which both find the same token most likely.
        public var agreements: Int
        /// Of the first and of the second model, over the same targets.
        public var perplexities: (first: Double, second: Double)
        public var windows: Int
        public var window: Int
        /// After each block: the norm of the difference of hidden states over the norm of the first model's, and the mean
        /// cosine of the two. Empty for models whose blocks are not as many or as wide.
        public var blocks: [Block]

        public struct Block: Sendable, Equatable {
            public var relativeError: Double
            public var cosine: Double
        }

        public var positions: Int { divergences.count }
        public var meanDivergence: Double { divergences.reduce(0, +) / Double(max(positions, 1)) }
        public var topOneAgreement: Double { Double(agreements) / Double(max(positions, 1)) }

        /// The divergence that a share of positions does not pass.
        public func divergence(at share: Double) -> Double {
            divergences.isEmpty ? .nan : divergences[min(Int(share * Double(positions)), positions - 1)]
        }

        public static func == (a: Result, b: Result) -> Bool {
            a.divergences == b.divergences && a.agreements == b.agreements && a.perplexities == b.perplexities
                && a.windows == b.windows && a.window == b.window && a.blocks == b.blocks
        }
    }

    /// - Parameter first: what is compared with; both runners have the same `chunk` and `logitRows`.
    /// - Throws: ``OutputComparisonError``, ``PerplexityError`` for a text without a window, ``ModelError/cancelled``.
    public func run(
        _ text: [UInt8], _ first: (runner: ModelRunner, tokenizer: Tokenizer),
        _ second: (runner: ModelRunner, tokenizer: Tokenizer),
        cancellation: CancellationFlag? = nil, progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Result {
        try first.runner.model.requireHead()
        try second.runner.model.requireHead()
        let shapes = (first.runner.model.configuration, second.runner.model.configuration)
        guard shapes.0.vocabularySize == shapes.1.vocabularySize,
            first.tokenizer.definition.tokens == second.tokenizer.definition.tokens
        else { throw OutputComparisonError.otherVocabulary }
        let context = min(shapes.0.contextLength, shapes.1.contextLength)
        guard window >= 2 else { throw PerplexityError.windowTooShort(window, .all) }
        guard window <= context else { throw PerplexityError.windowTooLong(window, context: context) }
        let tokenizer = first.tokenizer
        let ids = tokenizer.encode(bytes: text, special: .asText, addBOS: tokenizer.addsBOS)
        let count = min(ids.count / window, maxWindows)
        guard count > 0 else { throw PerplexityError.textTooShort(tokens: ids.count, window: window) }
        let windows = (0..<count).map { index -> [TokenID] in
            var tokens = Array(ids[index * window..<(index + 1) * window])
            if tokenizer.addsBOS, let bos = tokenizer.bosID { tokens[0] = bos }
            return tokens
        }
        var result = Result(
            divergences: [], agreements: 0, perplexities: (0, 0), windows: count, window: window, blocks: [])
        var losses = (0.0, 0.0)
        for (index, tokens) in windows.enumerated() {
            try compare(tokens, first.runner, second.runner, cancellation) { position in
                result.divergences.append(position.divergence)
                if position.isSameBest { result.agreements += 1 }
                losses.0 += position.losses.0
                losses.1 += position.losses.1
            }
            progress(index + 1, count)
        }
        guard result.divergences.allSatisfy(\.isFinite) else { throw OutputComparisonError.notFinite }
        result.divergences.sort()
        let positions = Double(result.positions)
        result.perplexities = (exp(losses.0 / positions), exp(losses.1 / positions))
        if shapes.0.layers == shapes.1.layers, shapes.0.width == shapes.1.width {
            result.blocks = try blocks(windows, first.runner, second.runner, cancellation)
        }
        return result
    }

    private struct Position {
        var divergence = 0.0
        var isSameBest = false
        var losses = (0.0, 0.0)
    }

    private func compare(
        _ tokens: [TokenID], _ first: ModelRunner, _ second: ModelRunner, _ cancellation: CancellationFlag?,
        _ add: (Position) -> Void
    ) throws {
        let sequences = (first.makeSequence(capacity: window), second.makeSequence(capacity: window))
        let vocabulary = first.model.configuration.vocabularySize
        let chunk = min(first.configuration.chunk, second.configuration.chunk)
        let logitRows = min(first.configuration.logitRows, second.configuration.logitRows)
        for begin in stride(from: 0, to: window, by: chunk) {
            let part = begin..<min(window, begin + chunk)
            for (runner, sequence) in [(first, sequences.0), (second, sequences.1)] {
                runner.begin()
                try tokens[part].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                try runner.run(cancellation: cancellation)
            }
            // The row at t predicts the token at t + 1.
            let rows = part.lowerBound..<min(part.upperBound, window - 1)
            for start in stride(from: rows.lowerBound, to: rows.upperBound, by: logitRows) {
                let batch = start..<min(rows.upperBound, start + logitRows)
                let places = batch.lowerBound - begin..<batch.upperBound - begin
                let (p, q) = (try first.logits(rows: places), try second.logits(rows: places))
                var positions = [Position](repeating: Position(), count: batch.count)
                positions.withUnsafeMutableBufferPointer { positions in
                    nonisolated(unsafe) let positions = positions
                    first.pool.run(chunks: batch.count) { index, _ in
                        let range = index * vocabulary..<(index + 1) * vocabulary
                        positions[index] = OutputComparison.position(
                            UnsafeBufferPointer(rebasing: p[range]), UnsafeBufferPointer(rebasing: q[range]),
                            target: Int(tokens[batch.lowerBound + index + 1]))
                    }
                }
                positions.forEach(add)
            }
        }
    }

    private static func position(
        _ p: UnsafeBufferPointer<Float>, _ q: UnsafeBufferPointer<Float>, target: Int
    ) -> Position {
        let sums = (LogProbabilities.logSumExp(p), LogProbabilities.logSumExp(q))
        var divergence = 0.0
        var best = (0, 0)
        for index in p.indices {
            if p[index] > p[best.0] { best.0 = index }
            if q[index] > q[best.1] { best.1 = index }
            let own = Double(p[index]) - sums.0
            divergence += exp(own) * (own - (Double(q[index]) - sums.1))
        }
        return Position(
            divergence: divergence, isSameBest: best.0 == best.1,
            losses: (sums.0 - Double(p[target]), sums.1 - Double(q[target])))
    }

    /// Hidden states of all windows, block by block through both models.
    private func blocks(
        _ windows: [[TokenID]], _ first: ModelRunner, _ second: ModelRunner, _ cancellation: CancellationFlag?
    ) throws -> [Result.Block] {
        let width = first.model.configuration.width
        let rows = windows.count * window
        var own = Buffer<Float>(count: rows * width)
        var other = Buffer<Float>(count: rows * width)
        for (index, tokens) in windows.enumerated() {
            try first.embed(tokens, into: own.base + index * window * width)
            try second.embed(tokens, into: other.base + index * window * width)
        }
        var result: [Result.Block] = []
        for block in first.model.blocks.indices {
            try own.withMutableElements {
                try first.runBlock(
                    block, hidden: $0, windows: windows.count, length: window, cancellation: cancellation)
            }
            try other.withMutableElements {
                try second.runBlock(
                    block, hidden: $0, windows: windows.count, length: window, cancellation: cancellation)
            }
            result.append(OutputComparison.difference(own.base, other.base, rows: rows, width: width))
        }
        return result
    }

    private static func difference(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, width: Int
    ) -> Result.Block {
        var (difference, norm, cosines) = (0.0, 0.0, 0.0)
        for row in 0..<rows {
            var (ab, aa, bb) = (0.0, 0.0, 0.0)
            for column in row * width..<(row + 1) * width {
                let (x, y) = (Double(a[column]), Double(b[column]))
                ab += x * y
                aa += x * x
                bb += y * y
                difference += (x - y) * (x - y)
            }
            norm += aa
            cosines += aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : 1
        }
        return Result.Block(
            relativeError: norm > 0 ? (difference / norm).squareRoot() : 0, cosine: cosines / Double(rows))
    }
}

public enum OutputComparisonError: Error, Equatable, Sendable, CustomStringConvertible {
    case otherVocabulary
    case notFinite

    public var description: String {
        switch self {
        case .otherVocabulary:
            "the two models have other vocabularies: what they say can't be compared token by token"
        case .notFinite: "the logits of one of the models are not finite: its weights are damaged"
        }
    }
}
