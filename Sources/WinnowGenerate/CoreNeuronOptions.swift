import WinnowCore
import WinnowModels

/// How decoding is to leave out neurons that a prompt does not use (``NeuronPolicy``).
public struct CoreNeuronOptions: Sendable, Equatable {
    public enum Mode: String, Sendable, CaseIterable {
        /// By the prompt (``CoreNeurons``).
        case stability
        /// By texts like the prompt (``ClusterNeurons``); needs a profile.
        case similarity
        /// By the prompt where it is even enough (``AutomaticNeurons``); needs a profile.
        case auto
    }

    public var mode: Mode
    public var predicate: NeuronPredicate
    /// nil: ``NeuronScope/middle(of:)``.
    public var layers: ClosedRange<Int>?
    /// A file that `winnow neurons` made. What counts as used is then as in the profile.
    public var profile: String?

    public init(
        _ predicate: NeuronPredicate, mode: Mode = .stability, layers: ClosedRange<Int>? = nil,
        profile: String? = nil
    ) {
        self.mode = mode
        self.predicate = predicate
        self.layers = layers
        self.profile = profile
    }

    /// The policy for a model.
    ///
    /// - Throws: ``NeuronError`` for a model with experts, layers that it does not have, a profile that is missing,
    ///   damaged or of another model.
    public func policy(for model: LanguageModel) throws -> any NeuronPolicy {
        let scope = try NeuronScope(model, layers: layers)
        if mode == .stability { return CoreNeurons(scope, predicate) }
        guard let path = profile else { throw NeuronError.needsProfile(mode: mode.rawValue) }
        let profile = try NeuronProfile(reading: path)
        try profile.check(model, file: path)
        return mode == .similarity
            ? try ClusterNeurons(scope, beta: predicate.beta, profile)
            : try AutomaticNeurons(scope, beta: predicate.beta, profile)
    }
}

/// What became of the feed-forward networks of a generation.
public struct CoreNeuronReport: Sendable {
    public let plan: NeuronPlan
    /// Bytes of the packed networks, and of those that they stood for, which stay in memory too.
    public let packedBytes: Int
    public let wholeBytes: Int
    /// Choosing and copying, in seconds; counted as prefill.
    public let seconds: Double
}

/// Switches a runner to a prompt's neurons after its prefill, and back.
final class NeuronSwitch {
    private let policy: any NeuronPolicy
    private let runner: ModelRunner

    init(_ policy: any NeuronPolicy, _ runner: ModelRunner) {
        self.policy = policy
        self.runner = runner
    }

    func makeCounter(tokens: Int) -> NeuronCounter {
        NeuronCounter(
            runner.model, policy.predicate, layers: policy.layers, tokens: tokens, on: runner.pool)
    }

    var readsPrompt: Bool { policy.readsPrompt }

    func thin(after prompt: NeuronCounter) throws -> CoreNeuronReport {
        let clock = ContinuousClock()
        let start = clock.now
        let plan = try policy.plan(after: prompt)
        let packed = try runner.pack(plan)
        try runner.use(packed)
        return CoreNeuronReport(
            plan: plan, packedBytes: packed.byteCount, wholeBytes: packed.wholeByteCount,
            seconds: (clock.now - start) / .seconds(1))
    }

    /// Putting the whole networks back can't fail.
    func restore() { try? runner.use(nil) }

    /// Bytes of the packed networks at most.
    var byteCount: Int {
        policy.layers.reduce(0) { sum, layer in
            guard let network = runner.model.blocks[layer].feedForward else { return sum }
            return sum + network.packedBytes(share: policy.predicate.beta)
        }
    }
}
