import ArgumentParser
import WinnowCore
import WinnowEval
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText

struct EvalTasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Accuracy on tasks written for lm-evaluation-harness.",
        discussion: """
            Reads its YAML for documents in local JSON files (dataset_path: json; names in data_files are taken beside \
            the task's file), with output_type multiple_choice, loglikelihood, loglikelihood_rolling or generate_until, \
            examples, templates, filters and metrics as it does. Keys that need Python are refused by name.

            Examples:
              winnow eval tasks --model smollm2-135m-q4_1 --tasks Recipes/tasks/capitals.yaml
              winnow eval tasks --model pruned --tasks *.yaml --num-fewshot 3 --samples answers.json --json
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(name: .long, parsing: .upToNextOption, help: "YAML files of tasks.", completion: .file())
    var tasks: [String]
    @Option(help: "Score the first documents of each task only.") var limit: Int?
    @Option(help: "Examples before each question (default: as the task says).") var numFewshot: Int?
    @Option(help: "Tokens that the model sees at once (default: its own length).") var maxLength: Int?
    @Option(
        help: ArgumentHelp("Write what was asked and answered for each document.", valueName: "file"),
        completion: .file())
    var samples: String?
    @Flag(help: "Replace a file of samples that is there.") var overwrite = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1, not \(limit)") }
        if let numFewshot, numFewshot < 0 {
            throw ValidationError("--num-fewshot is at least 0, not \(numFewshot)")
        }
        if let maxLength, maxLength < 2 {
            throw ValidationError("--max-length is at least 2, not \(maxLength)")
        }
    }

    func run() async throws {
        func read(_ path: String) throws -> [UInt8] {
            try TextInput.bytes(text: nil, file: path, named: "--tasks")
        }
        // Every task is read before the model is opened: a mistake in the last one costs nothing.
        let parsed = try tasks.map { try EvaluationTask(reading: $0, read: read) }
        if let samples { try AtomicOutput.check(samples, .file, overwrite: overwrite) }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        try loaded.model.requireHead()
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 64
        let runner = try ModelRunner(loaded.model, configuration)
        let context = min(maxLength ?? 4096, loaded.model.configuration.contextLength)
        try running.admit(runner.memoryPlan(tokens: context, sequences: 2), output)
        let likelihood = LogLikelihood(runner, loaded.tokenizer, limit: maxLength)
        let generator = TextGenerator(runner: runner, tokenizer: loaded.tokenizer, context: maxLength)
        var run = TaskRun()
        run.limit = limit
        run.exampleCount = numFewshot
        run.keepsSamples = samples != nil
        let progress = ProgressPrinter(output)
        let clock = ContinuousClock()
        let start = clock.now
        var results: [TaskRun.Result] = []
        for task in parsed {
            results.append(
                try run.run(
                    task, on: likelihood, read: read,
                    generate: { prompt, stops, maxTokens in
                        var options = GenerationOptions()
                        options.maxTokens = maxTokens
                        options.stop = stops.filter { !$0.isEmpty }
                        // A prompt that is too long loses its beginning, as in lm-evaluation-harness.
                        let ids = loaded.tokenizer.encode(prompt, addBOS: loaded.tokenizer.addsBOS)
                        let room = max(1, generator.context - maxTokens)
                        return try generator.generate(Array(ids.suffix(room)), options).text
                    }
                ) { progress.update(task.name, $0, of: $1, "documents") })
        }
        if let samples { try write(results, to: samples) }
        show(results, seconds: (clock.now - start) / .seconds(1))
    }

    private func write(_ results: [TaskRun.Result], to path: String) throws {
        let text = JSONValue.object(JSONObject(results.map { ($0.task, .array($0.samples)) })).text(indent: 1)
        let file = try AtomicOutput(path, .file, overwrite: overwrite)
        try OutputFile.write(text + "\n", to: file.partialPath)
        try file.commit()
    }

    private func show(_ results: [TaskRun.Result], seconds: Double) {
        if output.json {
            return StandardOutput.write([
                "results": .object(JSONObject(results.map { ($0.task, .object($0.json)) })),
                "n-samples": .object(JSONObject(results.map { ($0.task, .integer(Int64($0.documents))) })),
                "n-shot": .object(JSONObject(results.map { ($0.task, .integer(Int64($0.examples))) })),
                "activations": .string(running.activations.rawValue), "seconds": .number(seconds),
            ])
        }
        var table = Table([
            .init("task"), .figures("examples"), .figures("documents"), .init("metric"), .init("filter"),
            .figures("value"), .figures("±"),
        ])
        for result in results {
            for figure in result.figures {
                table.add([
                    result.task, "\(result.examples)", "\(result.documents)",
                    figure.metric.rawValue + (figure.metric.isHigherBetter ? " ↑" : " ↓"), figure.filter,
                    Format.fixed(figure.value, 4), figure.standardError.map { Format.fixed($0, 4) } ?? "–",
                ])
            }
        }
        StandardOutput.write(table.text)
        output.note("activations \(running.activations.rawValue), \(Format.fixed(seconds, 1)) s")
    }
}
