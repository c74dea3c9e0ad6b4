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
            examples, templates, filters and metrics as it does. A file may hold a group: its tasks are looked up by \
            name in the files below its folder. Keys that need Python are refused by name.

            Examples:
              winnow eval tasks --model smollm2-135m-q4_1 --tasks Recipes/tasks/capitals.yaml
              winnow eval tasks --model pruned --tasks *.yaml --num-fewshot 3 --samples answers.json --json
              winnow eval tasks --model smollm2-135m-q4_1 --tasks Recipes/all-tasks.yaml \
                --apply-chat-template --system "Answer in one word."
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
    @Flag(help: "Write prompts with the model's chat template.") var applyChatTemplate = false
    @Option(help: "Text before each task's description: the chat template's system message, or plain.")
    var system: String?
    @Flag(
        inversion: .prefixedNo,
        help: "With the chat template: examples are turns of their own, else part of the question.")
    var fewshotAsMultiturn = true

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
        var library = TaskLibrary(read: read) { folder in
            FileTree.files(below: folder, named: ".yaml", depth: 8).map { folder + "/" + $0 }
        }
        let items = try tasks.map { try library.item($0) }
        let parsed = items.flatMap(\.tasks)
        for (place, task) in parsed.enumerated()
        where parsed[..<place].contains(where: { $0.name == task.name }) {
            throw CommandError(
                "'\(task.name)' is asked for twice", at: task.file,
                remedy: "give the task or its group, not both")
        }
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
        run.style = try style(loaded)
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
                        let ids = likelihood.encode(prompt)
                        let room = max(1, generator.context - maxTokens)
                        return try generator.generate(Array(ids.suffix(room)), options).text
                    }
                ) { progress.update(task.name, $0, of: $1, "documents") })
        }
        if let samples { try write(results, to: samples) }
        let byName = Dictionary(uniqueKeysWithValues: results.map { ($0.task, $0) })
        let groups = items.flatMap(\.groups).map { $0.result(byName) }
        show(results, groups, seconds: (clock.now - start) / .seconds(1))
    }

    private func style(_ loaded: LoadedModel) throws -> PromptStyle {
        var style = PromptStyle()
        style.system = system ?? ""
        guard applyChatTemplate else { return style }
        guard let template = loaded.template else {
            throw CommandError(
                "the model has no chat template", at: model.model, remedy: "leave --apply-chat-template out")
        }
        style.chat = PromptStyle.Chat(template, loaded.tokenizer)
        style.chat?.examplesAreTurns = fewshotAsMultiturn
        return style
    }

    private func write(_ results: [TaskRun.Result], to path: String) throws {
        let text = JSONValue.object(JSONObject(results.map { ($0.task, .array($0.samples)) })).text(indent: 1)
        let file = try AtomicOutput(path, .file, overwrite: overwrite)
        try OutputFile.write(text + "\n", to: file.partialPath)
        try file.commit()
    }

    private func show(
        _ results: [TaskRun.Result], _ groups: [EvaluationGroup.Result], seconds: Double
    ) {
        if output.json {
            var figures = JSONObject(results.map { ($0.task, .object($0.json)) })
            for group in groups { figures[group.group.name] = .object(group.json) }
            var object = JSONObject([
                ("results", .object(figures)),
                (
                    "n-samples",
                    .object(JSONObject(results.map { ($0.task, .integer(Int64($0.documents))) }))
                ),
                ("n-shot", .object(JSONObject(results.map { ($0.task, .integer(Int64($0.examples))) }))),
                ("activations", .string(running.activations.rawValue)), ("seconds", .number(seconds)),
            ])
            if !groups.isEmpty {
                object["groups"] = .object(
                    JSONObject(
                        groups.filter { !$0.group.aggregates.isEmpty }.map {
                            ($0.group.name, .object($0.json))
                        }))
                object["group_subtasks"] = .object(
                    JSONObject(
                        groups.map { group in
                            (group.group.name, .array(group.group.members.map { .string($0.name) }))
                        }))
            }
            if applyChatTemplate {
                object["chatTemplate"] = true
                object["fewshotAsMultiturn"] = .bool(fewshotAsMultiturn)
            }
            if let system { object["system"] = .string(system) }
            return StandardOutput.write(.object(object))
        }
        var table = Table([
            .init("task"), .figures("examples"), .figures("documents"), .init("metric"), .init("filter"),
            .figures("value"), .figures("±"),
        ])
        func add(_ name: String, _ examples: String, _ documents: Int, _ figures: [TaskRun.Result.Figure]) {
            for figure in figures {
                table.add([
                    name, examples, "\(documents)",
                    figure.metric.rawValue + (figure.metric.isHigherBetter ? " ↑" : " ↓"), figure.filter,
                    Format.fixed(figure.value, 4), figure.standardError.map { Format.fixed($0, 4) } ?? "–",
                ])
            }
        }
        for result in results { add(result.alias, "\(result.examples)", result.documents, result.figures) }
        for group in groups { add("all of \(group.group.alias)", "", group.documents, group.figures) }
        StandardOutput.write(table.text)
        output.note("activations \(running.activations.rawValue), \(Format.fixed(seconds, 1)) s")
    }
}
