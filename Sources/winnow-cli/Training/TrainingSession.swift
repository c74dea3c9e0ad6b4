import ArgumentParser
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText
import WinnowTrain
import WinnowWeights

/// A run from its set-up to the model on disk: what `train` and `finetune` have in common.
struct TrainingSession {
    let options: TrainingOptions
    let running: RunOptions
    let output: OutputOptions
    let configuration: TrainingConfiguration
    let model: LanguageModel
    let tokenizer: Tokenizer
    let template: ChatTemplate?
    /// The checkpoint that is fine-tuned; nil: the model is new.
    let source: Checkpoint?
    /// What the model is, for telling runs apart.
    let identity: JSONObject
    let pool: KernelPool
    /// What is trained in place of the model's own weights.
    var adapter: LowRankAdapter?
    /// What steps lower in place of the cross-entropy alone.
    var distillation: Distillation?

    func run() async throws {
        let start = ContinuousClock.now
        let context = model.configuration.contextLength
        guard configuration.length <= context else {
            throw TrainingError.badValue(
                key: "length", value: "\(configuration.length)",
                expected: "the model's context, \(context), or less")
        }
        let progress = ProgressPrinter(output)
        let batches = try options.corpus.batches(
            configuration, tokenizer: tokenizer, template: template, in: options.destination
        ) {
            progress.update(Progress("tokenizing", completed: $0, total: $1, unit: .bytes))
        }
        let data = batches.training
        let trainer = try Trainer(
            model, configuration, data: data, on: pool, adapter: adapter,
            distillation: distillation)
        trainer.statisticsEvery = options.statistics
        var plan = trainer.memoryPlan
        plan.add("the program, tokenizer and text", bytes: Machine.residentBytes)
        try running.admit(plan, output)
        var run = try TrainingRun(
            trainer, in: options.destination,
            identity: JSONObject([
                ("model", .object(identity)), ("settings", .object(configuration.identity)),
                ("text", .string(data.fingerprint)), ("validation", .string(options.validation ?? "")),
            ]), overwrite: options.overwrite)
        run.validation = batches.validation
        let weights = trainer.parameters.reduce(0) { $0 + $1.count }
        output.note(
            "\(Format.count(weights)) weights, \(Format.count(batches.tokens)) tokens of text, "
                + "\(Format.count(data.tokensPerBatch * configuration.accumulate)) a step")
        if configuration.compute == .bfloat16, ProductPrecision.bfloat16Kernels == .rounded {
            output.note("this CPU multiplies no bfloat16: rounded numbers are multiplied as float32, no faster")
        }
        if let resumed = run.resumedFrom { output.note("going on from \(resumed.path)") }

        let (ending, wasInterrupted) = try await Interruption.stopping { flag in
            try run.run(cancellation: flag) { record in
                let speed = Double(data.tokensPerBatch * configuration.accumulate) / max(record.seconds, 1e-9)
                progress.update(
                    "training", record.step, of: configuration.steps,
                    "steps, loss \(Format.fixed(record.loss, 3)), \(Format.rate(speed))")
                guard let loss = record.evaluationLoss else { return }
                output.note("step \(Format.count(record.step)): validation loss \(Format.fixed(loss, 4))")
            }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let page = TrainingPage(run: run, text: options.text, ending: ending, model: modelName)
        try page.write(to: options.destination)
        if wasInterrupted || ending == .stopped {
            output.note("stopped after step \(run.trainer.step); the same command goes on from there")
            throw ExitCode(130)
        }
        try trainer.verifyMasks()
        if let adapter, let source {
            let path = "\(options.destination)/adapter"
            try adapter.write(
                to: path, base: source.path, configuration: model.configuration, overwrite: true)
            return answer(run, path: path, bytes: FileTree.bytes(of: path), ending, seconds: seconds)
        }
        let written = try write(trainer, run)
        answer(run, path: written.path, bytes: written.bytes, ending, seconds: seconds)
    }

    private var modelName: String { source.map { $0.path } ?? "new model" }

    /// The trained model, as float32, with its tokenizer.
    private func write(_ trainer: Trainer, _ run: TrainingRun) throws -> CheckpointWriter.Written {
        var trained: [String: ParameterTraining] = [:]
        for parameter in trainer.parameters { trained[parameter.name] = parameter }
        var recipe = JSONObject([
            ("winnow", .string(WinnowVersion.current)), ("training", .object(configuration.json)),
            ("text", .string(options.text)), ("steps", .integer(Int64(trainer.step))),
            ("tokens", .integer(Int64(trainer.tokens))),
        ])
        if let best = run.best { recipe["bestEvalLoss"] = .number(best.loss) }
        let writer = CheckpointWriter("\(options.destination)/model", overwrite: true)
        if let source {
            return try writer.write(source, recipe: recipe) { name in
                try trained[name]?.checkpointTensor ?? source.tensor(name)
            }
        }
        return try writer.write(
            configuration: model.configuration, tokenizer: tokenizer.definition,
            names: model.parameters.map(\.name), recipe: recipe
        ) { name in try trained[name]!.checkpointTensor }
    }

    private func answer(
        _ run: TrainingRun, path: String, bytes: Int, _ ending: TrainingRun.Ending, seconds: Double
    ) {
        let last = run.records.last
        let evaluation = run.records.last { $0.evaluationLoss != nil }?.evaluationLoss
        let zeros = run.trainer.sparsity
        guard !output.json else {
            var json = JSONObject([
                ("steps", .integer(Int64(run.trainer.step))), ("tokens", .integer(Int64(run.trainer.tokens))),
                ("loss", last.map { .number($0.loss) } ?? .null),
                ("evalLoss", evaluation.map { .number($0) } ?? .null),
                ("seconds", .number(seconds)), ("path", .string(path)),
                ("bytes", .integer(Int64(bytes))), ("ending", .string(ending.rawValue)),
                ("peakBytes", .integer(Int64(Machine.peakMemoryBytes))),
            ])
            if zeros.zeros > 0 {
                json["sparsity"] = .number(Double(zeros.zeros) / Double(zeros.weights))
                json["zeros"] = .integer(Int64(zeros.zeros))
                json["prunable"] = .integer(Int64(zeros.weights))
            }
            return StandardOutput.write(.object(json))
        }
        var text = "\(path): \(Format.bytes(bytes)) after \(Format.count(run.trainer.step)) steps"
        if ending == .patience { text += " (no better evaluation for a while)" }
        text += last.map { ", loss \(Format.fixed($0.loss, 4))" } ?? ""
        text += evaluation.map { ", validation loss \(Format.fixed($0, 4))" } ?? ""
        if zeros.zeros > 0 {
            text +=
                "\n\(Format.percent(Double(zeros.zeros) / Double(zeros.weights), 2)) zeros ("
                + "\(Format.count(zeros.zeros)) of \(Format.count(zeros.weights)) prunable weights)"
        }
        text += "\n\(Format.duration(seconds)), peak memory \(Format.bytes(Machine.peakMemoryBytes)); "
        text += "curves in \(options.destination)/report.html\n"
        StandardOutput.write(text)
    }
}
