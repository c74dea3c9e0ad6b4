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

            Examples:
              winnow prune --model smollm2-135m-q4_1 --method magnitude \
                --sparsity 0.3 --output pruned
              winnow prune --model smollm2-135m-q4_1 --method sparsegpt --pattern 2:4 \
                --calibration book.txt \
                --eval other.txt --output pruned
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "One of: \(MethodRegistry.standard.names(.pruning).joined(separator: ", ")).")
    var method: String
    @OptionGroup var settings: MethodOptions
    @OptionGroup var calibration: CalibrationOptions
    @OptionGroup var compressing: CompressionOptions
    @Option(help: "How pruned matrices are kept: \(StoredForm.names.joined(separator: ", ")).")
    var store = "source"
    @Option(help: "Columns that share a scale in int4: 32, 64 or 128.") var group = 32

    func validate() throws {
        guard settings.sparsity == nil || settings.pattern == nil || settings.pattern == .unstructured else {
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
        var run = CompressionRun(
            verb: "pruning", methodName: method, model: model, running: running, output: output,
            calibration: calibration, options: compressing)
        run.allocation = try settings.makeAllocation(running)
        try await run.run(try makeMethod(), StoredForm(store, group: group)!)
    }

    private func makeMethod() throws -> any LayerMethod {
        let entry = try MethodRegistry.standard.entry(method)
        guard entry.purpose == .pruning else {
            throw ConfigurationError.unknownMethod(
                name: method, known: MethodRegistry.standard.names(.pruning))
        }
        return try entry.make(settings.values)
    }
}

extension SparsityPattern: ExpressibleByArgument {}
extension SelectionScope: ExpressibleByArgument {}
