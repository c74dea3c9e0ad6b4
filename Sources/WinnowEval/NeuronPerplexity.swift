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

/// Perplexity of the second halves of a text's windows, each read with the neurons that a policy chooses after the
/// first half, which the whole model reads.
///
/// The targets are those of ``Perplexity/Score/half``: a policy that keeps every neuron gives the same figure.
public struct NeuronPerplexity: Sendable {
    /// Tokens of a window.
    public var window = 512
    /// The most windows to score; nil for all.
    public var maxWindows: Int?

    public init() {}

    public struct Result: Sendable, Equatable {
        public var perplexity: Double
        /// Mean negative log-likelihood of a scored token, in nats.
        public var negativeLogLikelihood: Double
        /// Kept neurons over those of the blocks that leave some out, the mean over windows.
        public var share: Double
        /// Bytes of the packed networks over those of the whole ones, the mean over windows; 1 where all is kept.
        public var byteShare: Double
        /// How alike the neurons of the first half's own halves are (``CoreNeurons/stability(of:)``); nil for policies
        /// that do not look at the prompt.
        public var stability: Double?
        /// Choosing and packing, in seconds, the mean over windows.
        public var packSeconds: Double
    }

    public struct Results: Sendable {
        /// In the order of the policies.
        public var results: [Result]
        public var windows: Int
        public var scoredTokens: Int
        public var tokens: Int
    }

    /// Scores a text once for each policy; first halves are read once for all of them.
    ///
    /// - Parameter bos: replaces the first id of each window.
    /// - Parameter progress: called with the windows done and the windows there are.
    /// - Throws: ``PerplexityError``, ``NeuronError``, ``ModelError``.
    public func evaluate(
        _ ids: [TokenID], bos: TokenID?, on runner: ModelRunner, policies: [any NeuronPolicy],
        cancellation: CancellationFlag? = nil, progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Results {
        try runner.model.requireHead()
        let context = runner.model.configuration.contextLength
        guard window >= 4 else { throw PerplexityError.windowTooShort(window, .half) }
        guard window <= context else { throw PerplexityError.windowTooLong(window, context: context) }
        let count = min(ids.count / window, maxWindows ?? .max)
        guard count > 0 else { throw PerplexityError.textTooShort(tokens: ids.count, window: window) }
        let half = window / 2
        let targets = Perplexity.Score.half.targets(window: window)
        let sequence = runner.makeSequence(capacity: window)
        var sums = policies.map { _ in Sums() }
        defer { try? runner.use(nil) }
        for index in 0..<count {
            var tokens = Array(ids[index * window..<(index + 1) * window])
            if let bos { tokens[0] = bos }
            let prompts = try read(tokens[..<half], into: sequence, runner, policies, cancellation)
            for (place, policy) in policies.enumerated() {
                try sums[place].add(policy, prompts[place], on: runner)
                try sums[place].add(
                    losses(tokens, from: half, targets, sequence, runner, cancellation))
                try runner.use(nil)
                sequence.truncate(to: half)
            }
            progress(index + 1, count)
        }
        return Results(
            results: sums.map { $0.result(windows: count, scored: count * targets.count) }, windows: count,
            scoredTokens: count * targets.count, tokens: ids.count)
    }

    /// Reads a prompt with the whole model.
    ///
    /// - Returns: what each policy asks for.
    private func read(
        _ prompt: ArraySlice<TokenID>, into sequence: KVSequence, _ runner: ModelRunner,
        _ policies: [any NeuronPolicy], _ cancellation: CancellationFlag?
    ) throws -> [NeuronCounter] {
        struct Kind: Hashable {
            var predicate: NeuronPredicate
            let layers: ClosedRange<Int>
        }
        var counters: [Kind: NeuronCounter] = [:]
        let wanted = policies.map { policy in
            // The share that is kept does not change what is counted.
            var kind = Kind(predicate: policy.predicate, layers: policy.layers)
            kind.predicate.beta = 1
            if let counter = counters[kind] { return counter }
            let counter = NeuronCounter(
                runner.model, policy.predicate, layers: policy.layers, tokens: prompt.count, on: runner.pool)
            if policy.readsPrompt { counters[kind] = counter }
            return counter
        }
        sequence.reset()
        let observers = Array(counters.values)
        try runner.read(prompt, into: sequence, cancellation: cancellation) { layer, values in
            for counter in observers { counter.observe(layer, values) }
        }
        return wanted
    }

    private func losses(
        _ tokens: [TokenID], from half: Int, _ targets: Range<Int>, _ sequence: KVSequence,
        _ runner: ModelRunner, _ cancellation: CancellationFlag?
    ) throws -> [Double] {
        var losses = [Double](repeating: 0, count: targets.count)
        for begin in stride(from: half, to: window, by: runner.configuration.chunk) {
            let part = begin..<min(window, begin + runner.configuration.chunk)
            runner.begin()
            try tokens[part].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            try runner.run(cancellation: cancellation)
            // The row that predicts target t stands at t - 1.
            try Perplexity().score(
                tokens, rows: part.clamped(to: targets.lowerBound - 1..<window - 1),
                offset: -part.lowerBound, firstTarget: targets.lowerBound, on: runner, into: &losses)
        }
        return losses
    }

    private struct Sums {
        var loss = 0.0
        var share = 0.0
        var byteShare = 0.0
        var stability: Double?
        var seconds = 0.0

        mutating func add(
            _ policy: any NeuronPolicy, _ prompt: NeuronCounter, on runner: ModelRunner
        ) throws {
            let clock = ContinuousClock()
            let start = clock.now
            let plan = try policy.plan(after: prompt)
            let packed = try runner.pack(plan)
            try runner.use(packed)
            seconds += (clock.now - start) / .seconds(1)
            share += plan.share
            byteShare +=
                packed.wholeByteCount > 0 ? Double(packed.byteCount) / Double(packed.wholeByteCount) : 1
            guard let core = policy as? CoreNeurons else { return }
            stability = try (stability ?? 0) + core.stability(of: prompt)
        }

        mutating func add(_ losses: [Double]) { loss = losses.reduce(loss, +) }

        func result(windows: Int, scored: Int) -> Result {
            Result(
                perplexity: exp(loss / Double(scored)), negativeLogLikelihood: loss / Double(scored),
                share: share / Double(windows), byteShare: byteShare / Double(windows),
                stability: stability.map { $0 / Double(windows) }, packSeconds: seconds / Double(windows))
        }
    }
}
