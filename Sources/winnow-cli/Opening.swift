import WinnowGenerate
import WinnowIO
import WinnowModels
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
        try Checkpoint.open(try await resolve(output))
    }

    func openTokenizer(_ output: OutputOptions) async throws -> Tokenizer {
        try Tokenizer(try await openCheckpoint(output).tokenizer)
    }

    func openEngine(_ running: RunOptions, context: Int?, _ output: OutputOptions) async throws -> Engine {
        var configuration = Engine.Configuration(threads: running.threadCount)
        configuration.runner = running.runnerConfiguration()
        configuration.context = context
        return try Engine(try await openCheckpoint(output), configuration)
    }
}
