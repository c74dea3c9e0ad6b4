import ArgumentParser
import WinnowCore
import WinnowData
import WinnowIO
import WinnowModels
import WinnowReport
import WinnowTrain
import WinnowText

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
        help: ArgumentHelp("Settings of the run in JSON; options given here come first.", valueName: "file"),
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
        if let sparsity, !(0..<1).contains(sparsity) {
            throw ValidationError("--sparsity is 0 to less than 1, not \(sparsity)")
        }
    }

    /// The recipe with the options over it.
    func configuration(seed: UInt64) throws -> TrainingConfiguration {
        var configuration = TrainingConfiguration()
        if let recipe {
            let file = try Storage.mapping(recipe)
            configuration = try TrainingConfiguration(
                json: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)), file: recipe)
        }
        if let steps { configuration.steps = steps }
        if let batch { configuration.batch = batch }
        if let length { configuration.length = length }
        if let accumulate { configuration.accumulate = accumulate }
        if recompute { configuration.recompute = true }
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

    /// Batches to learn from, and those to measure.
    func data(
        _ tokenizer: Tokenizer, _ template: ChatTemplate?, _ configuration: TrainingConfiguration,
        _ progress: ProgressPrinter
    ) throws -> (training: StreamedBatches, validation: [DecoderBatch], tokens: Int) {
        let cacheFolder = "\(destination)/tokens"
        try FilePath.makeFolder(destination)
        try FilePath.makeFolder(cacheFolder)
        func store(_ path: String) throws -> TokenStore {
            try TokenCache(path, tokenizer: tokenizer, template: template, in: cacheFolder) {
                progress.update(Progress("tokenizing", completed: $0, total: $1, unit: .bytes))
            }.store
        }
        let whole = try TokenDataset([store(text)])
        var (learned, measured): (TokenDataset, TokenDataset?)
        if let validation {
            (learned, measured) = (whole, try TokenDataset([store(validation)]))
        } else {
            (learned, measured) = try whole.split(validation: validationShare, seed: configuration.seed)
        }
        func stream(_ dataset: TokenDataset) throws -> BatchStream {
            BatchStream(
                dataset, plan: try WindowPlan(dataset, length: configuration.length),
                batch: configuration.batch,
                seed: configuration.seed)
        }
        let fingerprint = try TextSource(reading: text).sha256
        let training = StreamedBatches(try stream(learned), fingerprint: fingerprint)
        let validation = try measured.map {
            StreamedBatches(try stream($0), fingerprint: "").inOrder(most: validationBatches)
        }
        return (training, validation ?? [], whole.tokenCount)
    }
}
