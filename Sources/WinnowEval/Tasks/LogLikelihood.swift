import CWinnow
import WinnowCore
import WinnowModels
import WinnowText

/// Log-likelihoods of continuations, each context read once for all that go on from it.
///
/// - Source: the conventions of lm-evaluation-harness 0.4: `_encode_pair`, left truncation, `get_rolling_token_windows`.
public final class LogLikelihood {
    public struct Score: Sendable, Equatable {
        /// Sum over the continuation's tokens, in nats.
        public var sum: Double
        /// Whether each token was the most likely one.
        public var isGreedy: Bool
    }

    private let runner: ModelRunner
    private let tokenizer: Tokenizer
    private let limit: Int
    /// What the last contexts began with.
    private var shared: KVSequence
    private var sharedIDs: [TokenID] = []

    /// - Parameter limit: the most tokens that the model sees; its own length by default.
    public init(_ runner: ModelRunner, _ tokenizer: Tokenizer, limit: Int? = nil) {
        self.runner = runner
        self.tokenizer = tokenizer
        let own = runner.model.configuration.contextLength
        self.limit = min(limit ?? own, own)
        shared = runner.makeSequence(capacity: self.limit)
    }

    /// What stands before a text without a context: BOS, else the end of text.
    private func prefixID() throws -> TokenID {
        guard let id = tokenizer.bosID ?? tokenizer.definition.eosID else {
            throw LogLikelihoodError.noPrefix
        }
        return id
    }

    /// The ids of a prompt, with BOS before them where the tokenizer says so and the text does not begin with it.
    public func encode(_ text: String) -> [TokenID] {
        let isThere = tokenizer.bosID.map { text.utf8.starts(with: tokenizer.piece($0).utf8) } ?? false
        return tokenizer.encode(text, addBOS: tokenizer.addsBOS && !isThere)
    }

    /// White space that ends a context belongs to the continuation: words begin with their space.
    func encode(_ context: String, _ continuation: String) throws -> (
        context: [TokenID], continuation: [TokenID]
    ) {
        guard !context.isEmpty else {
            let ids = tokenizer.encode(continuation, addBOS: false)
            let prefix = try prefixID()
            return ids.first == prefix ? ([prefix], Array(ids.dropFirst())) : ([prefix], ids)
        }
        var kept = Substring(context).unicodeScalars
        while let last = kept.last, last.isPythonSpace { kept.removeLast() }
        let head = encode(String(kept))
        return (head, Array(encode(context + continuation).dropFirst(head.count)))
    }

    /// Scores of continuations, in their order.
    ///
    /// - Throws: ``LogLikelihoodError``, ``ModelError/cancelled``.
    public func scores(
        _ requests: [(context: String, continuation: String)], cancellation: CancellationFlag? = nil
    ) throws -> [Score] {
        try scores(
            requests.map { try encode($0.context, $0.continuation) }, cancellation: cancellation)
    }

    /// The log-likelihood of a whole text: windows whose targets don't overlap, each told the token before it, the last
    /// one as much as fits.
    public func rolling(_ text: String, cancellation: CancellationFlag? = nil) throws -> Double {
        let ids = encode(text)
        let prefix = try prefixID()
        var sum = 0.0
        for start in stride(from: 0, to: ids.count, by: limit) {
            let end = min(start + limit, ids.count)
            let before = start == 0 ? [prefix] : Array(ids[(end - limit - 1)..<start])
            sum += try scores([(before, Array(ids[start..<end]))], cancellation: cancellation)[0].sum
        }
        return sum
    }

    private struct Part {
        let place: Int
        let sequence: KVSequence
        /// Ids behind what is shared, and where in them the first row stands that is scored.
        let ids: [TokenID]
        let firstScored: Int
        let targets: [TokenID]
    }

    func scores(
        _ pairs: [(context: [TokenID], continuation: [TokenID])], cancellation: CancellationFlag? = nil
    ) throws -> [Score] {
        var scores = pairs.map { _ in Score(sum: 0, isGreedy: true) }
        let inputs = try pairs.map { pair -> [TokenID] in
            guard !pair.continuation.isEmpty else { throw LogLikelihoodError.emptyContinuation }
            guard pair.continuation.count <= limit else {
                throw LogLikelihoodError.tooLong(tokens: pair.continuation.count, limit: limit)
            }
            return (pair.context + pair.continuation).suffix(limit + 1).dropLast()
        }
        guard let first = inputs.first else { return [] }
        // Tokens that all inputs begin with, and of which none is scored.
        var common = zip(inputs, pairs).map { $0.count - $1.continuation.count }.min()!
        for input in inputs.dropFirst() { common = min(common, zip(first, input).prefix { $0 == $1 }.count) }
        try share(Array(first.prefix(common)), cancellation)

        var parts: [Part] = []
        var rows = 0
        for (place, input) in inputs.enumerated() {
            let count = pairs[place].continuation.count
            // Where a window's pages are gone, nothing is shared.
            let fork = shared.fork(length: sharedIDs.count, capacity: input.count)
            let own = fork == nil ? input : Array(input.dropFirst(sharedIDs.count))
            let part = Part(
                place: place, sequence: fork ?? runner.makeSequence(capacity: input.count), ids: own,
                firstScored: own.count - count, targets: pairs[place].continuation)
            if rows + own.count > runner.configuration.chunk, !parts.isEmpty {
                try run(parts, into: &scores, cancellation)
                (parts, rows) = ([], 0)
            }
            parts.append(part)
            rows += own.count
        }
        try run(parts, into: &scores, cancellation)
        return scores
    }

    /// Makes `shared` hold these ids.
    private func share(_ ids: [TokenID], _ cancellation: CancellationFlag?) throws {
        let common = zip(ids, sharedIDs).prefix { $0 == $1 }.count
        let kept = shared.truncate(to: common)
        sharedIDs.removeLast(sharedIDs.count - kept)
        var rest = ids[kept...]
        while !rest.isEmpty {
            let part = rest.prefix(runner.configuration.chunk)
            runner.begin()
            try part.withUnsafeBufferPointer { try runner.append($0, to: shared) }
            try runner.run(cancellation: cancellation)
            sharedIDs.append(contentsOf: part)
            rest = rest.dropFirst(part.count)
        }
    }

    /// Runs several texts in one step, or one that is longer in several.
    private func run(_ parts: [Part], into scores: inout [Score], _ cancellation: CancellationFlag?) throws {
        let chunk = runner.configuration.chunk
        let longest = parts.map(\.ids.count).max() ?? 0
        for begin in stride(from: 0, to: longest, by: chunk) {
            runner.begin()
            var firstRows: [Int] = []
            var rows = 0
            for part in parts {
                let range = begin..<min(part.ids.count, begin + chunk)
                firstRows.append(rows)
                try part.ids[range].withUnsafeBufferPointer { try runner.append($0, to: part.sequence) }
                rows += range.count
            }
            try runner.run(cancellation: cancellation)
            for (part, firstRow) in zip(parts, firstRows) {
                let scored =
                    max(
                        part.firstScored, begin)..<max(
                        min(part.ids.count, begin + chunk), part.firstScored, begin)
                try score(part, scored, offset: firstRow - begin, into: &scores[part.place])
            }
        }
    }

    private func score(_ part: Part, _ range: Range<Int>, offset: Int, into score: inout Score) throws {
        let vocabulary = runner.model.configuration.vocabularySize
        for start in stride(from: range.lowerBound, to: range.upperBound, by: runner.configuration.logitRows)
        {
            let batch = start..<min(range.upperBound, start + runner.configuration.logitRows)
            let logits = try runner.logits(rows: batch.lowerBound + offset..<batch.upperBound + offset)
            for (index, place) in batch.enumerated() {
                let row = UnsafeBufferPointer(rebasing: logits[index * vocabulary..<(index + 1) * vocabulary])
                let target = Int(part.targets[place - part.firstScored])
                let logProbability = Double(row[target]) - LogProbabilities.logSumExp(row)
                guard logProbability.isFinite else { throw LogLikelihoodError.notFinite }
                score.sum += logProbability
                if wn_argmax(row.baseAddress, row.count) != target { score.isGreedy = false }
            }
        }
    }
}

public enum LogLikelihoodError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyContinuation
    case tooLong(tokens: Int, limit: Int)
    case noPrefix
    case notFinite

    public var description: String {
        switch self {
        case .emptyContinuation: "a continuation without tokens has no likelihood"
        case .tooLong(let tokens, let limit): "a continuation of \(tokens) tokens; the model sees \(limit)"
        case .noPrefix:
            "the tokenizer has neither a first nor a last token to put before a text without a context"
        case .notFinite: "the model's logits are not finite: its weights are damaged"
        }
    }
}
