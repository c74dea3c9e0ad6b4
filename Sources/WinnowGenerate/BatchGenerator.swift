import CWinnow
import WinnowCore
import WinnowModels
import WinnowText

/// A text to continue beside others.
public struct GenerationRequest: Sendable {
    public var prompt: [TokenID]
    public var options: GenerationOptions
    /// Ends this one; the others go on.
    public var cancellation: CancellationFlag?
    /// Runs beside the model for this text; nil: the model alone.
    public var adapter: RunningAdapter?

    public init(
        prompt: [TokenID], options: GenerationOptions, adapter: RunningAdapter? = nil,
        cancellation: CancellationFlag? = nil
    ) {
        self.adapter = adapter
        self.prompt = prompt
        self.options = options
        self.cancellation = cancellation
    }
}

/// Continues many texts at once: a step takes the next token of each, and what room it has left goes to prompts, so
/// that a weight is read once for all of them. Each text is the one that it would be alone.
///
/// A prompt that begins as another does shares that one's pages of keys and values, and is not computed again.
public final class BatchGenerator {
    public struct Configuration: Sendable {
        /// Tokens of prompt and text together; nil for the model's own length.
        public var context: Int?
        /// Bytes of keys and values that may be held at once; nil: no limit.
        public var cacheBytes: Int?

        public init() {}
    }

    public let runner: ModelRunner
    public let tokenizer: Tokenizer
    private let context: Int
    private let pageLimit: Int
    private var active: [Member] = []
    /// Pages that the active members may come to need.
    private var promisedPages = 0
    /// The last text that ended: the next prompt may begin as it did.
    private var last: Member?

    /// A text on its way.
    private final class Member {
        let index: Int
        let request: GenerationRequest
        let sequence: KVSequence
        let promisedPages: Int
        /// What `sequence` holds.
        var cached: [TokenID]
        var continuation: Continuation
        /// Where its row of logits stands in the step; nil while its prompt is read.
        var row: Int?
        let start = ContinuousClock().now

        init(
            _ index: Int, _ request: GenerationRequest, _ sequence: KVSequence, cached: [TokenID], pages: Int,
            _ tokenizer: Tokenizer
        ) {
            self.index = index
            self.request = request
            self.sequence = sequence
            self.cached = cached
            promisedPages = pages
            continuation = Continuation(request.prompt, request.options, tokenizer)
            continuation.record { $0.reusedTokens = cached.count }
        }

        /// Ids that are not computed yet: of the prompt, later the token that came last.
        var pending: ArraySlice<TokenID> { continuation.ids[cached.count...] }
    }

    /// - Parameter runner: its `logitRows` are the most texts at once.
    public init(
        runner: ModelRunner, tokenizer: Tokenizer, _ configuration: Configuration = Configuration()
    ) {
        self.runner = runner
        self.tokenizer = tokenizer
        let length = runner.model.configuration.contextLength
        context = min(configuration.context ?? length, length)
        pageLimit = configuration.cacheBytes.map { $0 / runner.pageBytes } ?? .max
    }

    /// Texts that a step may hold.
    public var width: Int { min(runner.configuration.logitRows, runner.configuration.chunk) }

    /// Generates all texts; results are in the order of the requests.
    ///
    /// - Parameter onFinish: called with the place of a request as soon as its text is whole.
    /// - Throws: before anything is computed, ``ModelError`` for an empty or too long prompt, ``GenerationError`` for
    ///   bad options, ``MemoryLimitError`` for one text that is over `cacheBytes`; later ``GenerationError`` for bad
    ///   logits. Cancelled texts are results, with what they had.
    public func generate(
        _ requests: [GenerationRequest], cancellation: CancellationFlag? = nil,
        onFinish: (Int, GenerationResult) -> Void = { _, _ in }
    ) throws -> [GenerationResult] {
        for request in requests { try check(request) }
        defer {
            active.removeAll()
            runner.begin()  // The last step holds its sequences no longer.
        }
        promisedPages = 0
        var results = [GenerationResult?](repeating: nil, count: requests.count)
        var waiting = Array(requests.enumerated().reversed())
        func leave(_ member: Member) {
            promisedPages -= member.promisedPages
            results[member.index] = member.continuation.result
            last = member
            onFinish(member.index, member.continuation.result)
        }
        while !waiting.isEmpty || !active.isEmpty {
            while let (index, request) = waiting.last, admit(index, request) { waiting.removeLast() }
            let wasCancelled = try step(cancellation)
            for member in active where !member.continuation.isFinished {
                if wasCancelled || member.request.cancellation?.isCancelled == true {
                    _ = member.continuation.finish(.cancelled)
                }
            }
            for member in active where member.continuation.isFinished { leave(member) }
            active.removeAll { $0.continuation.isFinished }
            guard wasCancelled else { continue }
            for (index, request) in waiting.reversed() {
                var continuation = Continuation(request.prompt, request.options, tokenizer)
                _ = continuation.finish(.cancelled)
                results[index] = continuation.result
                onFinish(index, continuation.result)
            }
            waiting.removeAll()
        }
        return results.map { $0! }
    }

    private func check(_ request: GenerationRequest) throws {
        try request.options.validate()
        guard !request.prompt.isEmpty else { throw ModelError.emptyPrompt }
        guard request.prompt.count < context else {
            throw ModelError.promptTooLong(tokens: request.prompt.count, context: context)
        }
        guard pageLimit < .max else { return }
        var plan = MemoryPlan()
        plan.add("the keys and values of one text", bytes: pages(for: request) * runner.pageBytes)
        try plan.check(limit: pageLimit * runner.pageBytes)
    }

    private func capacity(_ request: GenerationRequest) -> Int {
        min(context, request.prompt.count + request.options.maxTokens)
    }

    private func pages(for request: GenerationRequest) -> Int { runner.pages(tokens: capacity(request)) }

    /// Lets a request in; false when it has to wait: for a place, for pages, or for a prompt that begins alike.
    private func admit(_ index: Int, _ request: GenerationRequest) -> Bool {
        let pages = pages(for: request)
        guard active.count < width, promisedPages + pages <= pageLimit else { return false }
        func common(_ ids: [TokenID]) -> Int {
            zip(ids, request.prompt.dropLast()).prefix { $0 == $1 }.count
        }
        // Keys and values are those of an adapter.
        let candidates = (active + [last].compactMap(\.self)).filter {
            $0.request.adapter === request.adapter
        }
        let best = candidates.max { common($0.cached) < common($1.cached) }
        let shared = best.map { common($0.cached) } ?? 0
        if active.contains(where: {
            $0.request.adapter === request.adapter
                && common($0.request.prompt) >= shared + runner.pageTokens
        }) {
            return false
        }
        // What the last text holds beside the active ones is no one's promise: it goes as soon as it is of no use.
        defer { if best !== last { last = nil } }
        let fork = best.flatMap {
            shared > 0 ? $0.sequence.fork(length: shared, capacity: capacity(request)) : nil
        }
        active.append(
            Member(
                index, request,
                fork ?? runner.makeSequence(capacity: capacity(request), adapter: request.adapter),
                cached: fork == nil ? [] : Array(request.prompt.prefix(shared)), pages: pages, tokenizer))
        promisedPages += pages
        return true
    }

    /// One step of the runner and what comes out of it.
    ///
    /// - Returns: whether it was cancelled, with nothing changed.
    private func step(_ cancellation: CancellationFlag?) throws -> Bool {
        runner.begin()
        // Texts first, a token each; then prompts in the order they came.
        var parts: [(Member, Int)] = []
        for member in active where member.pending.count == 1 { parts.append((member, 1)) }
        var room = runner.room - parts.count
        for member in active where member.pending.count > 1 && room > 0 {
            let count = min(room, member.pending.count)
            parts.append((member, count))
            room -= count
        }
        var row = 0
        for (member, count) in parts {
            try member.pending.prefix(count).withUnsafeBufferPointer {
                try runner.append($0, to: member.sequence)
            }
            row += count
            member.row = count == member.pending.count ? row - 1 : nil
        }
        do { try runner.run(cancellation: cancellation) } catch ModelError.cancelled { return true }
        for (member, count) in parts { member.cached.append(contentsOf: member.pending.prefix(count)) }

        let ready = parts.map(\.0).filter { $0.row != nil }
        guard !ready.isEmpty else { return false }
        let logits = try runner.logits(rows: ready.map { $0.row! })
        let vocabulary = runner.model.configuration.vocabularySize
        for (place, member) in ready.enumerated() {
            let row = UnsafeBufferPointer(rebasing: logits[place * vocabulary..<(place + 1) * vocabulary])
            guard wn_all_finite(row.baseAddress, row.count) else {
                throw GenerationError.notFinite(position: member.sequence.length - 1)
            }
            let isFirst = member.continuation.result.tokens.isEmpty
            _ = member.continuation.take(row)
            let seconds = (ContinuousClock().now - member.start) / .seconds(1)
            member.continuation.record {
                if isFirst { $0.prefillSeconds = seconds } else { $0.decodedTokens += 1 }
                $0.decodeSeconds = seconds - $0.prefillSeconds
            }
            if member.sequence.length == member.sequence.capacity { _ = member.continuation.finish(.length) }
        }
        return false
    }
}
