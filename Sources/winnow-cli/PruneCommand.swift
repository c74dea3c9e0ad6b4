import ArgumentParser
import WinnowCompress
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport
import WinnowWeights

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Prune a model's weights in one shot and store it under masks.",
        discussion: """
            magnitude  drops the smallest weights; looks at no text
            wanda      drops the smallest |weight| x input norm; calibrates on text
            sparsegpt  drops column by column and lets the weights that stay make up for it
            dsnot      swaps weights of another method's mask until expected outputs are met

            Without --store each matrix stays in its own grid: a mask, kept codes, the source's scales. \
            Sparsity counts the linears of the blocks; embeddings, head and norms stay as they are. \
            A setting that the method does not have is refused.

            With --structure whole neurons, heads or layers are dropped instead: what is left is a smaller dense \
            model. Neurons and heads go by what they add to the outputs, and those that stay make up for them; layers \
            by how little they change what passes through.

            Examples:
              winnow prune --model smollm2-135m-q4_1 --method magnitude \
                --sparsity 0.3 --output pruned
              winnow prune --model smollm2-135m-q4_1 --method sparsegpt --pattern 2:4 \
                --calibration book.txt \
                --eval other.txt --output pruned
              winnow prune --model smollm2-135m-q4_1 --structure neurons --fraction 0.2 \
                --calibration book.txt --output narrower
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "One of: \(MethodRegistry.standard.names(.pruning).joined(separator: ", ")).")
    var method: String?
    @Option(help: "Instead of a method: drop neurons, heads (of keys, with their queries) or layers.")
    var structure: Structure?
    @Option(help: "The share of them that goes.") var fraction: Double?
    @Flag(help: "Leave what stays as it is, without making up for what goes.") var noReconstruction = false
    @OptionGroup var settings: MethodOptions
    @OptionGroup var calibration: CalibrationOptions
    @OptionGroup var compressing: CompressionOptions
    @Option(help: "How pruned matrices are kept: \(StoredForm.names.joined(separator: ", ")).")
    var store = "source"
    @Option(help: "Columns that share a scale in int4: 32, 64 or 128.") var group = 32

    func validate() throws {
        if let structure {
            guard method == nil, settings.values.count == 0 else {
                throw ValidationError(
                    "--structure \(structure.rawValue) takes --fraction, and no method or settings of one")
            }
            guard let fraction, fraction > 0, fraction < 1 else {
                throw ValidationError("--structure needs --fraction, more than 0 and less than 1")
            }
            if compressing.dryRun { throw ValidationError("--dry-run is not done with --structure") }
            return
        }
        guard method != nil else { throw ValidationError("give --method or --structure") }
        guard fraction == nil, !noReconstruction else {
            throw ValidationError("--fraction and --no-reconstruction go with --structure")
        }
        guard settings.sparsity == nil || settings.pattern?.sparsity == nil else {
            throw ValidationError("--pattern N:M says the sparsity: leave --sparsity out")
        }
        guard StoredForm(store, group: group) != nil else {
            throw ValidationError(
                "--store is one of \(StoredForm.names.joined(separator: ", ")), not \(store)")
        }
        guard [32, 64, 128].contains(group) else {
            throw ValidationError("--group is 32, 64 or 128, not \(group)")
        }
        do { _ = try makeMethod() } catch let error as ConfigurationError {
            throw ValidationError("\(error)")
        }
    }

    func run() async throws {
        if let structure { return try await drop(structure) }
        let method = method!
        var run = CompressionRun(
            verb: "pruning", methodName: method, model: model, running: running, output: output,
            calibration: calibration, options: compressing)
        run.allocation = try settings.makeAllocation(running)
        try await run.run(try makeMethod(), StoredForm(store, group: group)!)
    }

    private func drop(_ structure: Structure) async throws {
        var pruner = StructuredPruner(structure, fraction: fraction!, threads: running.threadCount)
        pruner.reconstructs = !noReconstruction && structure != .layers
        pruner.activations = calibration.activations
        pruner.store = store == "source" ? nil : WeightFormats.named(store)
        let run = CompressionRun(
            verb: "dropping", methodName: structure.rawValue, model: model, running: running, output: output,
            calibration: calibration, options: compressing)
        try await StructureRun(pruner: pruner, run: run).run()
    }

    private func makeMethod() throws -> any LayerMethod {
        let method = method!
        let entry = try MethodRegistry.standard.entry(method)
        guard entry.purpose == .pruning else {
            throw ConfigurationError.unknownMethod(
                name: method, known: MethodRegistry.standard.names(.pruning))
        }
        return try entry.make(settings.values)
    }
}

extension SparsityPattern: ExpressibleByArgument {}
extension Structure: ExpressibleByArgument {}
extension SelectionScope: ExpressibleByArgument {}
