import ArgumentParser
import WinnowCompress
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowReport

struct CompressCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compress",
        abstract: "Follow a recipe: prune, quantize and retrain a model, phase after phase.",
        discussion: """
            A recipe in YAML (or JSON), each phase beginning with its verb:

              calibration: {text: book.txt, samples: 128}
              evaluation: {text: other.txt, max_windows: 16}
              phases:
                - prune: sparsegpt
                  sparsity: 0.5
                  ignore: ["re:.*down_proj"]
                - finetune: book.txt
                  steps: 100
                  teacher: given

            Other keys are those of the method, or of 'winnow train --recipe', in snake case; a key that is not \
            known is an error. Without a text the ones inside winnow are used. Recipes of llm-compressor with \
            modifiers that are done here are read too, and so is the winnow.json of a model that a recipe made. \
            --eval and --eval-windows come before the recipe's evaluation. Paths are relative to where the command \
            runs. Training keeps its checkpoints in OUTPUT.run: a run that was stopped goes on from there.

            Examples:
              winnow compress --model smollm2-135m-q4_1 --recipe recipe.yaml --dry-run \
                --output small
              winnow compress --model smollm2-135m-q4_1 --recipe recipe.yaml --output small
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: ArgumentHelp("What to do, phase after phase.", valueName: "file"), completion: .file())
    var recipe: String
    @OptionGroup var options: CompressionOptions

    func run() async throws {
        let start = ContinuousClock.now
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let steps = try decodedRecipe()
        if !options.dryRun {
            try AtomicOutput.check(options.destination, .folder, overwrite: options.overwrite)
        }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        let progress = ProgressPrinter(output)
        var run = RecipeRun(steps, on: loaded, threads: running.threadCount)
        run.standardTexts = (CompressionRun.embeddedText, SweepCommand.embeddedScoringText)
        run.activations = running.activations
        run.kvType = running.kvType
        run.workFolder = "\(options.destination).run"
        run.progress = { [steps] in progress.show($0, of: steps) }
        run.trained = { trained, ending, index in
            guard case .finetune(let phase) = steps.phases[index] else { return }
            try TrainingPage(run: trained, text: phase.corpus.text, ending: ending, model: model.model)
                .write(to: trained.folder)
        }
        let rules = try run.layerRules()
        let windows = try run.calibrationWindows()
        if let windows, windows.windows.count < windows.requested {
            output.note(
                "\(windows.source) has \(windows.tokens) tokens: \(windows.windows.count) windows of "
                    + "\(windows.length), not \(windows.requested)")
        }
        var plan = run.memoryPlan(windows: windows?.windows.count ?? 0)
        plan.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        if options.dryRun {
            output.note("timing a little of each phase")
            return show(rules, try run.expectedSeconds(windows: windows), plan)
        }
        output.note("predicted peak memory \(Format.bytes(plan.total))")
        try plan.check(limit: running.memoryBytes)

        let result = try await Interruption.stopping { flag in
            run.cancellation = flag
            do { return Result<RecipeRun.Result?, any Error>.success(try run.run()) } catch
                ModelError.cancelled, PruningError.cancelled
            { return .success(nil) } catch { return .failure(error) }
        }.0.get()
        guard let result else {
            output.note("stopped; the same command does the quick phases again and goes on with training")
            throw ExitCode(130)
        }
        let record = RecipeRecord(steps, result, model: model.model, version: WinnowVersion.current)
        let written = try result.loaded.write(
            to: options.destination, overwrite: options.overwrite, record: record.json,
            notes: [(RecipeRecord.recipeName, record.yaml)])
        for path in written.removedStale { output.note("removed \(path), left by an interrupted run") }
        for note in Set(result.phases.flatMap(\.notes)).sorted() { output.note("note: \(note)") }
        for index in steps.phases.indices {
            AtomicOutput.remove("\(run.workFolder!)/phase-\(index)/checkpoints")
        }
        answer(loaded.checkpoint, result, written, seconds: (ContinuousClock.now - start) / .seconds(1))
    }

    private func decodedRecipe() throws -> Recipe {
        let file = try Storage.mapping(recipe)
        let bytes = Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount))
        var steps = try RecipeDecoder().decode(bytes, file: recipe)
        if running.seed != 0 { steps.seed = running.seed }
        if options.eval != nil || options.evalWindows != nil {
            var evaluation = steps.evaluation ?? Recipe.Evaluation()
            if let eval = options.eval { evaluation.text = eval }
            if let windows = options.evalWindows { evaluation.maxWindows = windows }
            steps.evaluation = evaluation
        }
        return steps
    }

    // MARK: What is said

    private func answer(
        _ source: Checkpoint, _ result: RecipeRun.Result, _ written: CheckpointWriter.Written, seconds: Double
    ) {
        guard !output.json else {
            var json = JSONObject([
                ("path", .string(written.path)), ("bytes", .integer(Int64(written.bytes))),
                ("bytesBefore", .integer(Int64(source.fileBytes))), ("seconds", .number(seconds)),
                ("peakBytes", .integer(Int64(Machine.peakMemoryBytes))),
                ("phases", .array(result.phases.map { .object($0.json(layers: false)) })),
            ])
            if let before = result.before { json["perplexityBefore"] = .number(before.perplexity) }
            return StandardOutput.write(.object(json))
        }
        let isMeasured = result.before != nil
        var table = Table(
            [.init("phase"), .init("zeros", .trailing), .init("bits a weight", .trailing)]
                + (isMeasured ? [.init("perplexity", .trailing)] : []) + [.init("took", .trailing)])
        if let before = result.before {
            table.add(["as given", "", "", Format.fixed(before.perplexity, 3), ""])
        }
        for phase in result.phases {
            table.add(
                [phase.summary, Format.percent(phase.sparsity, 2), Format.fixed(phase.bitsPerWeight, 2)]
                    + (phase.perplexity.map { [Format.fixed($0.perplexity, 3)] } ?? [])
                    + [Format.duration(phase.seconds)])
        }
        StandardOutput.write(
            """
            \(written.path): \(Format.bytes(written.bytes)), was \(Format.bytes(source.fileBytes))
            \(Format.duration(seconds)), peak memory \(Format.bytes(Machine.peakMemoryBytes))

            \(table.text)
            """)
    }

    private func show(
        _ rules: [(phase: String, layers: [RecipeRun.LayerRule])], _ seconds: [Double?], _ plan: MemoryPlan
    ) {
        guard !output.json else {
            return StandardOutput.write([
                "path": .string(options.destination), "predictedPeakBytes": .integer(Int64(plan.total)),
                "memory": plan.json,
                "phases": .array(zip(rules, seconds).map { json($0.phase, $0.layers, $1) }),
            ])
        }
        for (index, rule) in rules.enumerated() {
            let time = seconds[index].map { ", about \(Format.duration($0))" } ?? ""
            StandardOutput.write("phase \(index): \(rule.phase)\(time)\n")
            guard !rule.layers.isEmpty else { continue }
            var table = Table([.init("layer"), .init("rule"), .init("stored as")])
            for layer in rule.layers { table.add([layer.name, layer.rule, "\(layer.from) -> \(layer.to)"]) }
            StandardOutput.write(table.text + "\n")
        }
        StandardOutput.write(plan.table.text)
    }

    private func json(_ phase: String, _ layers: [RecipeRun.LayerRule], _ seconds: Double?) -> JSONValue {
        [
            "phase": .string(phase), "predictedSeconds": seconds.map { .number($0) } ?? .null,
            "plan": .array(
                layers.map {
                    [
                        "name": .string($0.name), "rule": .string($0.rule), "from": .string($0.from),
                        "to": .string($0.to),
                    ]
                }),
        ]
    }
}

extension ProgressPrinter {
    func show(_ step: RecipeProgress, of recipe: Recipe) {
        let place = step.phase.map { "phase \($0 + 1) of \(recipe.phases.count), " } ?? ""
        let unit = step.unit + (step.loss.map { ", loss \(Format.fixed($0, 3))" } ?? "")
        update(place + step.what, step.done, of: step.total, unit)
    }
}
