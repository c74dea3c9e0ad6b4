import WinnowCore
import WinnowGenerate
import WinnowIO
import WinnowModels
import WinnowReport
import WinnowText

// How verbs open what `--model` names, with the run options applied.

extension RunOptions {
    /// The runner's part of the options; selects the instruction set on the way.
    func runnerConfiguration(chunk: Int = 256) -> ModelRunner.Configuration {
        selectInstructionSet()
        var configuration = ModelRunner.Configuration(threads: threadCount)
        configuration.activations = activations
        configuration.kvType = kvType
        configuration.chunk = chunk
        return configuration
    }
}

extension ModelOptions {
    func openCheckpoint(_ output: OutputOptions) async throws -> Checkpoint {
        let checkpoint = try Checkpoint.open(try await resolve(output))
        if let notice = checkpoint.unpackingNotice { output.note(notice) }
        return checkpoint
    }

    func openTokenizer(_ output: OutputOptions) async throws -> Tokenizer {
        let path = try await resolve(output)
        // What 'winnow train-tokenizer' writes has no model yet.
        if FileTree.isFile("\(path)/tokenizer.json"), !FileTree.isFile("\(path)/config.json") {
            return try Tokenizer(try TokenizerFolder.read(path))
        }
        return try Tokenizer(try Checkpoint.open(path).tokenizer)
    }

    func openEngine(
        _ running: RunOptions, context: Int?, _ drafting: DraftOptions, _ neurons: CoreNeuronArguments,
        _ weights: WeightOptions,
        _ output: OutputOptions
    ) async throws -> Engine {
        var configuration = Engine.Configuration(threads: running.threadCount)
        configuration.runner = running.runnerConfiguration()
        configuration.context = context
        configuration.draft = try await drafting.source(cache, output)
        configuration.draftTokens = drafting.draftTokens
        configuration.coreNeurons = try neurons.options()
        let checkpoint = try await openCheckpoint(output)
        if weights.readsAlone(running) { checkpoint.expectFewReads() }
        let engine = try Engine(checkpoint, configuration)
        if let request = weights.request(running, unless: await engine.memoryPlan) {
            guard neurons.coreNeurons == nil else {
                throw CommandError(
                    "--core-neurons works on weights in memory, not with --weights or a --memory-limit that streams them"
                )
            }
            output.note("\(try await engine.placeWeights(request))")
        }
        try running.admit(await engine.memoryPlan, output)
        return engine
    }
}

extension RunOptions {
    /// Refuses work that would not fit; says what large work will hold before it starts.
    ///
    /// - Throws: ``MemoryLimitError`` when the plan is over `--memory-limit` or what the machine has left.
    func admit(_ plan: MemoryPlan, _ output: OutputOptions) throws {
        try plan.check(limit: memoryBytes)
        output.note(
            "predicted peak memory \(Format.bytes(plan.total))", level: plan.total >= 1 << 30 ? .info : .debug
        )
    }
}
