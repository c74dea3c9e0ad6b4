import ArgumentParser
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowText
import WinnowTrain
import WinnowWeights

struct TrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a new model from a text.",
        discussion: """
            Makes a Llama of the given shape with random weights and trains all of it in float32. The output folder \
            holds checkpoints, log.jsonl, report.html with curves, and the model itself in 'model'. A run that \
            stopped goes on from its last checkpoint when the same command is given again.

            Examples:
              winnow train --text book.txt --vocabulary-size 4096 --output run
              winnow train --text book.txt --tokenizer run/model --layers 8 --width 384 \\
                --heads 6 --steps 2000 --sparsity 0.8 --output sparse-run
            """)

    @OptionGroup var options: TrainingOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var cache: CacheOptions
    @Option(
        help: ArgumentHelp(
            "A tokenizer to take: of 'winnow train-tokenizer', or a model's (folder, .gguf file, catalogue name).",
            valueName: "model"))
    var tokenizer: String?
    @Option(help: ArgumentHelp("Learn a tokenizer of so many tokens from --text.", valueName: "n"))
    var vocabularySize: Int?
    @Option(help: "Blocks of the model.") var layers = 4
    @Option(help: "Width of the residual.") var width = 256
    @Option(help: "Query heads.") var heads = 4
    @Option(help: ArgumentHelp("Key and value heads (default: as many as query heads).", valueName: "n"))
    var keyValueHeads: Int?
    @Option(
        help: ArgumentHelp("Width inside the feed-forward layers (default: 8/3 of --width).", valueName: "n"))
    var feedForward: Int?
    @Flag(help: "Give the head weights of its own instead of the embedding's.") var untied = false

    func validate() throws {
        guard (tokenizer == nil) != (vocabularySize == nil) else {
            throw ValidationError("give one of --tokenizer and --vocabulary-size")
        }
    }

    func run() async throws {
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let configuration = try options.configuration(seed: running.seed)
        let definition = try await tokenizerDefinition()
        let tokenizer = try Tokenizer(definition)
        let shape = try shape(tokenizer, length: configuration.length)
        let pool = try KernelPool(threads: running.threadCount)
        // Before any of it is made: the session's own plan, with activations, comes later.
        var plan = MemoryPlan()
        plan.add("masters, gradients, moments and the model as made", bytes: shape.parameterCount * 20)
        try plan.check(limit: running.memoryBytes)
        let model = try shape.model(seed: configuration.seed)
        for parameter in model.parameters { parameter.beginTraining(on: pool) }
        let identity = JSONObject([
            ("layers", .integer(Int64(shape.layers))), ("width", .integer(Int64(shape.width))),
            ("heads", .integer(Int64(shape.heads))), ("keyValueHeads", .integer(Int64(shape.keyValueHeads))),
            ("feedForward", .integer(Int64(shape.feedForwardWidth))),
            ("vocabulary", .integer(Int64(shape.vocabularySize))), ("tied", .bool(shape.tiesEmbeddings)),
        ])
        try await TrainingSession(
            options: options, running: running, output: output, configuration: configuration, model: model,
            tokenizer: tokenizer, template: try definition.chatTemplate.map { try ChatTemplate(source: $0) },
            source: nil, identity: identity, pool: pool
        ).run()
    }

    /// The tokenizer that was asked for; one that is learned is kept in the run's folder.
    private func tokenizerDefinition() async throws -> TokenizerDefinition {
        if let tokenizer {
            let isFolder = FileTree.isDirectory(tokenizer) && !FileTree.isFile("\(tokenizer)/config.json")
            if isFolder { return try TokenizerFolder.read(tokenizer) }
            return try Checkpoint.open(try await resolveModel(tokenizer, cache, output)).tokenizer
        }
        let folder = "\(options.destination)/tokenizer"
        if !options.overwrite, FileTree.isDirectory(folder) { return try TokenizerFolder.read(folder) }
        var settings = BytePairTrainer.Configuration()
        settings.vocabularySize = vocabularySize!
        var trainer: BytePairTrainer
        do { trainer = try BytePairTrainer(settings) } catch { throw ValidationError("\(error)") }
        let progress = ProgressPrinter(output)
        try TrainingTexts.forEach(in: options.text) { done, all in
            progress.update(.init("counting words", completed: done, total: all, unit: .bytes))
        } _: {
            trainer.add($0)
        }
        let definition = try trainer.train { done, all in
            progress.update("merging", done, of: all, "tokens")
            return true
        }
        try FilePath.makeFolder(options.destination)
        _ = try TokenizerFolder.write(definition, to: folder, overwrite: true)
        return definition
    }

    private func shape(_ tokenizer: Tokenizer, length: Int) throws -> NewDecoder {
        var shape = NewDecoder(vocabularySize: tokenizer.definition.tokens.count)
        shape.layers = layers
        shape.width = width
        shape.heads = heads
        shape.keyValueHeads = keyValueHeads ?? heads
        // A multiple of 32: block formats can take it later.
        shape.feedForwardWidth = feedForward ?? max(32, (width * 8 / 3 + 31) / 32 * 32)
        shape.contextLength = length
        shape.tiesEmbeddings = !untied
        shape.bosID = tokenizer.bosID.map { Int($0) }
        shape.eosIDs = tokenizer.definition.eosID.map { [Int($0)] } ?? []
        if let problem = shape.problem { throw ValidationError(problem) }
        return shape
    }
}

struct FinetuneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "finetune",
        abstract: "Train a model further, its masks kept.",
        discussion: """
            All weights are trained in float32. Weights that a mask prunes stay zero; with --keep-zeros so do all \
            that are zero in the blocks. With --adapter-rank the model stays as it is, in its own format, and a \
            LoRA adapter is trained beside it: the folder 'adapter' of the output opens in PEFT, and 'winnow merge' \
            adds it to the weights. With --teacher the loss is cross-entropy, divergence and SquareHead, weighed. The \
            output folder is else that of 'winnow train'.

            Examples:
              winnow finetune --model pruned --text book.txt --steps 200 \\
                --learning-rate 1e-4 --output retrained
              winnow finetune --model smollm2-135m-q4_1 --text chats.jsonl --adapter-rank 8 \\
                --learning-rate 1e-3 --output tuned
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var options: TrainingOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Treat every zero of a linear as pruned, in formats without a mask too.") var keepZeros =
        false
    @Option(help: ArgumentHelp("Train a LoRA adapter of this rank instead of the weights.", valueName: "r"))
    var adapterRank: Int?
    @Option(
        help: ArgumentHelp(
            "Its strength: alpha / rank multiplies it (default: twice the rank).", valueName: "alpha"))
    var adapterAlpha: Double?
    @Option(
        help: ArgumentHelp(
            "Linears that get one, by the ends of their names, with commas; or all-linear.",
            valueName: "names"))
    var adapterTargets = "all-linear"
    @Flag(name: .customLong("rslora"), help: "Multiply by alpha / sqrt(rank) instead.") var isRankStabilised =
        false
    @Option(
        help: ArgumentHelp("A model to learn from, of the same shape: the dense one.", valueName: "model"))
    var teacher: String?
    @Option(help: ArgumentHelp("Weight of the text itself beside the teacher.", valueName: "weight"))
    var crossEntropy = 1.0
    @Option(
        help: ArgumentHelp("Weight of the divergence from the teacher's distribution.", valueName: "weight"))
    var divergence = 0.0
    @Option(
        help: ArgumentHelp("Weight of the distance from the teacher's hidden states.", valueName: "weight"))
    var squareHead = 1.0
    @Option(help: ArgumentHelp("What softens both distributions of the divergence.", valueName: "t"))
    var temperature = 1.0

    func validate() throws {
        guard adapterRank != nil else {
            if adapterAlpha != nil || isRankStabilised {
                throw ValidationError("--adapter-alpha and --rslora need --adapter-rank")
            }
            return
        }
        guard !keepZeros, options.sparsity == nil else {
            throw ValidationError(
                "an adapter leaves the weights alone: leave --keep-zeros and --sparsity out")
        }
    }

    private var adapterConfiguration: LowRankConfiguration? {
        guard let adapterRank else { return nil }
        var configuration = LowRankConfiguration()
        configuration.rank = adapterRank
        configuration.alpha = adapterAlpha ?? Double(2 * adapterRank)
        configuration.targets = adapterTargets.split(separator: ",").map(String.init)
        configuration.isRankStabilised = isRankStabilised
        return configuration
    }

    func run() async throws {
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let configuration = try options.configuration(seed: running.seed)
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        let pool = try KernelPool(threads: running.threadCount)
        let linears = Set(
            loaded.model.blocks.flatMap { $0.linears.map { ObjectIdentifier($0.parameter) } })
        let adapter = try adapterConfiguration.map {
            try LowRankAdapter($0, for: loaded.model, seed: configuration.seed)
        }
        for parameter in loaded.model.parameters where adapter == nil {
            parameter.beginTraining(
                keepsZeros: keepZeros && linears.contains(ObjectIdentifier(parameter)), on: pool)
        }
        let distillation = try await distillation(for: loaded.model, pool)
        let identity = JSONObject([
            ("teacher", .string(teacher ?? "")),
            (
                "distillation",
                .array([crossEntropy, divergence, squareHead, temperature].map { .number($0) })
            ),
            ("model", .string(model.model)), ("bytes", .integer(Int64(loaded.checkpoint.fileBytes))),
            ("keepZeros", .bool(keepZeros)), ("adapterRank", .integer(Int64(adapterRank ?? 0))),
            ("adapterAlpha", .number(adapter?.configuration.alpha ?? 0)),
            ("adapterTargets", .string(adapter == nil ? "" : adapterTargets)),
            ("rslora", .bool(isRankStabilised)),
        ])
        try await TrainingSession(
            options: options, running: running, output: output, configuration: configuration,
            model: loaded.model,
            tokenizer: loaded.tokenizer, template: loaded.template, source: loaded.checkpoint,
            identity: identity,
            pool: pool, adapter: adapter, distillation: distillation
        ).run()
    }

    private func distillation(for student: LanguageModel, _ pool: KernelPool) async throws -> Distillation? {
        guard let teacher else { return nil }
        var weights = DistillationWeights()
        weights.crossEntropy = crossEntropy
        weights.divergence = divergence
        weights.squareHead = squareHead
        weights.temperature = temperature
        let path = try await resolveModel(teacher, model.cache, output)
        return try Distillation(
            weights, teacher: try LanguageModel(Checkpoint.open(path)), student: student, on: pool)
    }
}
