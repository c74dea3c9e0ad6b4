import ArgumentParser
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport
import WinnowWeights

struct ConvertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Write a model in another layout or weight format.",
        discussion: """
            hf      a Hugging Face folder of plain floats, which transformers opens
            gguf    a GGUF file, which llama.cpp opens
            dense   the folder of hf: what a packed or masked model becomes for other tools
            packed  a folder that keeps packed formats, for Winnow

            Without --format nothing is lost: a matrix keeps its own grid where the target can hold it, and \
            becomes float32 where it cannot. A 4-bit format leaves the embedding and the head at 8 bits or wider. \
            A masked format keeps exactly the zeros that are there: it prunes nothing.

            Examples:
              winnow convert --model smollm2-135m-q4_1 --to hf --output smollm2-hf
              winnow convert --model smollm2-hf --to gguf --format q8_0 \\
                --output smollm2.gguf
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "hf, gguf, dense or packed.") var to: ModelConversion.Target
    @Option(
        help: """
            Weight format: f32, f16, bf16, q8_0, q4_0, q4_1; packed also takes int8, int4 and masked-q4_0, \
            masked-q4_1, masked-q8_0, masked-int8, masked-int4, masked-f16.
            """)
    var format: String?
    @Option(name: .customLong("output"), help: "The folder or file to write.", completion: .file())
    var destination: String
    @Option(help: ArgumentHelp("Largest safetensors file of a folder.", valueName: "size"))
    var maxShardSize = ByteCount(bytes: 5_000_000_000)
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "Print each matrix with the format it would get, and write nothing.") var dryRun = false

    func validate() throws { _ = try conversion() }

    func run() async throws {
        let conversion = try conversion()
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let source = try await model.openCheckpoint(output)
        var plan = conversion.memoryPlan(for: source)
        plan.add("the program and tokenizer", bytes: Machine.residentBytes)
        if dryRun { return try show(plan, of: conversion, source) }
        try running.admit(plan, output)
        let pool = try KernelPool(threads: running.threadCount)
        let progress = ProgressPrinter(output)
        let written = try conversion.write(source, to: destination, overwrite: overwrite, on: pool) { done, all in
            progress.update("converting", done, of: all, "tensors")
            // Small arrays of the last tensor would pin what the large ones left, and the peak would creep up.
            FreedMemory.release()
        }
        for path in written.removedStale { output.note("removed \(path), left by an interrupted run") }
        if output.json {
            StandardOutput.write([
                "path": .string(written.path), "bytes": .integer(Int64(written.bytes)),
                "bytesBefore": .integer(Int64(source.fileBytes)),
            ])
        } else {
            StandardOutput.write(
                "\(written.path): \(Format.bytes(written.bytes)), was \(Format.bytes(source.fileBytes))\n")
        }
    }

    private func conversion() throws -> ModelConversion {
        var wanted: WeightFormat?
        if let format {
            guard let found = WeightFormats.named(format.lowercased()) else {
                let names = ModelConversion.formats(for: to).map(\.name).joined(separator: ", ")
                throw ValidationError("there is no format '\(format)'; for --to \(to.rawValue): \(names)")
            }
            wanted = found
        }
        do throws(ConversionError) {
            var conversion = try ModelConversion(to: to, format: wanted)
            conversion.maxShardBytes = maxShardSize.bytes
            return conversion
        } catch { throw ValidationError(error.description) }
    }

    private func show(_ memory: MemoryPlan, of conversion: ModelConversion, _ source: Checkpoint) throws {
        var layers: [JSONValue] = []
        for name in source.names {
            guard case .matrix(let matrix) = try source.tensor(name) else { continue }
            let format = conversion.format(of: matrix.format, isBlock: name.hasPrefix("model.layers."))
            layers.append(["name": .string(name), "from": .string(matrix.format.name), "to": .string(format.name)])
            if !output.json { StandardOutput.write("\(name)\t\(matrix.format.name) -> \(format.name)\n") }
        }
        guard output.json else { return StandardOutput.write("\n" + memory.table.text) }
        StandardOutput.write([
            "path": .string(destination), "plan": .array(layers),
            "predictedPeakBytes": .integer(Int64(memory.total)), "memory": memory.json,
        ])
    }
}

extension ModelConversion.Target: ExpressibleByArgument {}
