import ArgumentParser
import WinnowCore
import WinnowData
import WinnowIO
import WinnowModels
import WinnowRecipes
import WinnowReport
import WinnowText
import WinnowTrain
import WinnowYAML

/// What `train` and `finetune` share: text, recipe, length of the run.
struct TrainingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Text to learn, or .jsonl with {\"text\"}, {\"prompt\", \"completion\"} or {\"messages\"} a line.",
            valueName: "file"), completion: .file())
    var text: String
    @Option(
        help: ArgumentHelp("Text to measure the loss on (default: a part of --text).", valueName: "file"),
        completion: .file())
    var validation: String?
    @Option(help: ArgumentHelp("Share of --text that is measured, not learned.", valueName: "share"))
    var validationShare = 0.05
    @Option(help: "The most validation batches to measure.") var validationBatches = 20
    @Option(
        help: ArgumentHelp("What becomes of conversations over --length: fail or cut.", valueName: "rule"))
    var longConversations = WindowPlan.Overflow.fail
    @Option(
        help: ArgumentHelp(
            "Settings of the run in YAML or JSON; options given here come first.", valueName: "file"),
        completion: .file())
    var recipe: String?
    @Option(help: "Steps of the optimizer.") var steps: Int?
    @Option(help: "Sequences of a batch.") var batch: Int?
    @Option(help: "Tokens of a sequence.") var length: Int?
    @Option(help: "Batches whose gradients are added up for one step.") var accumulate: Int?
    @Option(
        help: ArgumentHelp(
            "Peak learning rate: rises over the first twentieth, falls to a tenth in a cosine.",
            valueName: "rate"))
    var learningRate: Double?
    @Option(help: ArgumentHelp("Prune while training, to this share of zeros.", valueName: "share"))
    var sparsity: Double?
    @Flag(help: "Compute each block again on the way back: less memory, a third more time.") var recompute =
        false
    @Option(
        help: ArgumentHelp(
            "Precision of matrix products, float32 or bfloat16; weights and the optimizer's state stay float32.",
            valueName: "precision"))
    var compute: ProductPrecision?
    @Option(
        help: ArgumentHelp(
            "Every so many steps, log each parameter's gradient, weights and change, and each block's hidden states.",
            valueName: "steps"))
    var statistics: Int?
    @Option(name: .customLong("output"), help: "The folder of the run.", completion: .directory)
    var destination: String
    @Flag(help: "Start anew where a run is there already, instead of going on with it.") var overwrite = false

    func validate() throws {
        guard (0..<1).contains(validationShare) else {
            throw ValidationError("--validation-share is 0 to less than 1, not \(validationShare)")
        }
        if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is more than 0, not \(learningRate)")
        }
        if let statistics, statistics < 1 {
            throw ValidationError("--statistics is at least 1, not \(statistics)")
        }
        if let sparsity, !(0..<1).contains(sparsity) {
            throw ValidationError("--sparsity is 0 to less than 1, not \(sparsity)")
        }
    }

    /// The recipe with the options over it.
    func configuration(seed: UInt64) throws -> TrainingConfiguration {
        var configuration = TrainingConfiguration()
        if let recipe {
            let file = try Storage.mapping(recipe)
            let document = try YAMLDocument(
                parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)), file: recipe)
            configuration = try RecipeDecoder().training(document)
        }
        if let steps { configuration.steps = steps }
        if let batch { configuration.batch = batch }
        if let length { configuration.length = length }
        if let accumulate { configuration.accumulate = accumulate }
        if recompute { configuration.recompute = true }
        if let compute { configuration.compute = compute }
        if seed != 0 || recipe == nil { configuration.seed = seed }
        if learningRate != nil || recipe == nil {
            let rate = learningRate ?? 1e-3
            configuration.learningRate = .warmup(
                steps: max(1, configuration.steps / 20),
                then: .curve(.cosine, from: rate, to: rate / 10, begin: 0, end: nil))
        }
        if let sparsity {
            var pruning = configuration.pruning ?? GradualPruningConfiguration()
            pruning.to = sparsity
            configuration.pruning = pruning
        }
        try configuration.validate()
        return configuration
    }

    var corpus: TrainingCorpus {
        var corpus = TrainingCorpus(text: text, validation: validation)
        corpus.validationShare = validationShare
        corpus.validationBatches = validationBatches
        corpus.overflow = longConversations
        return corpus
    }
}

extension WindowPlan.Overflow: ExpressibleByArgument {}
extension ProductPrecision: ExpressibleByArgument {}
