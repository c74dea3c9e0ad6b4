import WinnowCore
import WinnowIO
import WinnowModels
import WinnowText

/// A piece of a generation as it comes.
public enum GenerationEvent: Sendable {
    case text(String)
    /// The last event.
    case finished(GenerationResult)
}

/// A model at work on a thread of its own: what programs that embed Winnow, and the server, talk to.
///
/// The thread is worker 0 of the kernels' pool; nothing of Swift's cooperative threads ever waits on a kernel.
public actor Engine {
    public struct Configuration: Sendable {
        public var runner: ModelRunner.Configuration
        /// Tokens of prompt and text together; nil for the model's own length.
        public var context: Int?
        /// What guesses tokens for the model to verify; nil: nothing.
        public var draft: DraftSource?
        /// The most tokens guessed at once.
        public var draftTokens = 8
        /// Which neurons may be left out after a prompt; nil: none.
        public var coreNeurons: CoreNeuronOptions?

        public init(threads: Int) { runner = ModelRunner.Configuration(threads: threads) }
    }

    private nonisolated let thread: EngineThread
    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    public nonisolated let tokenizer: Tokenizer
    public nonisolated let template: ChatTemplate?
    public nonisolated let modelConfiguration: ModelConfiguration
    /// The files that the model came from.
    public nonisolated let checkpoint: Checkpoint
    private let generator: TextGenerator

    /// Opens a folder or GGUF file and makes it ready to run.
    ///
    /// - Throws: the typed error of the reader that refused it.
    public init(opening path: String, _ configuration: Configuration) throws {
        let checkpoint = try Checkpoint.open(path)
        try self.init(checkpoint, configuration)
    }

    public init(_ checkpoint: Checkpoint, _ configuration: Configuration) throws {
        thread = EngineThread()
        tokenizer = try Tokenizer(checkpoint.tokenizer)
        template = try checkpoint.tokenizer.chatTemplate.map { try ChatTemplate(source: $0) }
        modelConfiguration = checkpoint.configuration
        self.checkpoint = checkpoint
        let model = try LanguageModel(checkpoint)
        try model.requireHead()
        var settings = configuration.runner
        if configuration.draft != nil {
            settings.logitRows = max(settings.logitRows, configuration.draftTokens + 1)
        }
        let runner = try ModelRunner(model, settings)
        let neurons = try configuration.coreNeurons?.policy(for: model)
        let drafter = try configuration.draft?.open(
            for: runner, tokenizer, configuration.runner, context: configuration.context)
        generator = TextGenerator(
            runner: runner, tokenizer: tokenizer, context: configuration.context, drafter: drafter,
            neurons: neurons)
    }

    /// The ids of a prompt: through the model's chat template, or as it stands.
    public nonisolated func promptIDs(_ messages: [ChatMessage]) throws -> [TokenID] {
        try tokenizer.promptIDs(messages, template)
    }

    /// Generates on the engine's thread; `onText` is called there.
    ///
    /// - Parameter adapter: made for this engine's model, inside ``run(_:)``; runs beside it for this generation.
    public func generate(
        _ prompt: [TokenID], _ options: GenerationOptions, adapter: RunningAdapter? = nil,
        cancellation: CancellationFlag? = nil, onText: @Sendable (String) -> Void = { _ in }
    ) throws -> GenerationResult {
        try generator.generate(
            prompt, options, adapter: adapter, cancellation: cancellation, onText: onText)
    }

    /// A generation as a stream; ending the iteration stops it within a token.
    public nonisolated func stream(
        _ prompt: [TokenID], _ options: GenerationOptions = GenerationOptions()
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        let cancellation = CancellationFlag()
        return AsyncThrowingStream { continuation in
            continuation.onTermination = { _ in cancellation.cancel() }
            Task {
                do {
                    let result = try await generate(prompt, options, cancellation: cancellation) {
                        continuation.yield(.text($0))
                    }
                    continuation.yield(.finished(result))
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
        }
    }

    /// What a generation that fills the context holds in memory at its peak.
    public var memoryPlan: MemoryPlan { generator.memoryPlan }

    /// Puts the weights where a limit on memory lets them be: called once, before the first generation. What a full
    /// context and a draft hold is added to the request.
    ///
    /// - Throws: as ``ModelRunner/placeWeights(_:open:)``.
    @discardableResult
    public func placeWeights(_ request: WeightRequest) throws -> WeightPlan {
        var request = request
        let (weights, runner) = (generator.runner.memoryPlan(tokens: 0), generator.runner)
        // Beside the model and its workspace, which the runner counts itself.
        request.cacheBytes += generator.memoryPlan.total - weights.total
        return try runner.placeWeights(request)
    }

    /// Where the weights are, and what streaming them took so far; nil where the file is mapped and nothing was said.
    public var weightStore: (plan: WeightPlan, statistics: StreamStatistics?)? {
        generator.runner.store.map { ($0.plan, $0.statistics) }
    }

    /// Runs work that needs the model itself (evaluation, pruning) on the engine's thread.
    public func run<Result: Sendable>(
        _ work: @Sendable (ModelRunner) throws -> Result
    ) rethrows -> Result {
        try work(generator.runner)
    }
}
