import ArgumentParser
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowTrain
import WinnowWeights

struct MergeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Add a LoRA adapter to the weights of its base.",
        discussion: """
            The adapter is a folder as PEFT writes it. Linears that it changes are written as float32, all others \
            as they are; weights that a mask prunes stay zero.

            Example:
              winnow merge --model pruned --adapter run/adapter --output merged
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The folder of the adapter.", completion: .directory) var adapter: String
    @Flag(help: "Treat every zero of a linear as pruned, in formats without a mask too.") var keepZeros = false
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false

    func run() async throws {
        try AtomicOutput.check(destination, .folder, overwrite: overwrite)
        running.selectInstructionSet()
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        let adapter = try LowRankAdapter(reading: adapter, for: loaded.model)
        let pool = try KernelPool(threads: running.threadCount)
        let changed = Set(adapter.pairs.map(\.name))
        var recipe = loaded.checkpoint.recipe ?? JSONObject()
        recipe["merged"] = [
            "adapter": .string(self.adapter), "rank": .integer(Int64(adapter.configuration.rank)),
            "alpha": .number(adapter.configuration.alpha), "winnow": .string(WinnowVersion.current),
        ]
        let written = try CheckpointWriter(destination, overwrite: overwrite).write(loaded.checkpoint, recipe: recipe) {
            name in
            guard changed.contains(name), case .matrix(let matrix) = try loaded.checkpoint.tensor(name) else {
                return try loaded.checkpoint.tensor(name)
            }
            return .matrix(try adapter.merged(name, into: matrix, keepsZeros: keepZeros, on: pool))
        }
        if output.json {
            StandardOutput.write(["path": .string(written.path), "bytes": .integer(Int64(written.bytes))])
        } else {
            StandardOutput.write(
                "\(written.path): \(Format.bytes(written.bytes)), \(changed.count) linears with the adapter in them\n")
        }
    }
}
