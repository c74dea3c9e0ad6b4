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
            compressed-tensors  a folder that compressed-tensors and transformers open: int8 as int-quantized, int4 as \
            pack-quantized, codes and scales as they are; masks become zeros, other formats plain floats

            Without --format nothing is lost: a matrix keeps its own grid where the target can hold it, and \
            becomes float32 where it cannot. A 4-bit format leaves the embedding and the head at 8 bits or wider. \
            A masked format keeps exactly the zeros that are there: it prunes nothing.

            auto times candidate formats for each layer shape on this machine and takes the fastest that keeps the \
            weights within --max-weight-error; the choice is saved as a plan, and --plan follows one that is there.

            Examples:
              winnow convert --model smollm2-135m-q4_1 --to hf --output smollm2-hf
              winnow convert --model smollm2-hf --to gguf --format q8_0 \\
                --output smollm2.gguf
              winnow convert --model quantized --to compressed-tensors --output for-transformers
              winnow convert --model smollm2-hf --to packed --format auto --plan here.json \\
                --output smollm2-here
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "hf, gguf, dense, packed or compressed-tensors.") var to: ModelConversion.Target
    @Option(
        help: """
            Weight format: f32, f16, bf16, q8_0, q4_0, q4_1; packed also takes int8, int4 and masked-q4_0, \
            masked-q4_1, masked-q8_0, masked-int8, masked-int4, masked-f16; compressed-tensors int8 or int4. auto \
            chooses by measuring.
            """)
    var format: String?
    @Option(
        help: ArgumentHelp(
            "With auto: follow this plan; where there is no such file, measure and write it (default: OUTPUT.plan.json, only written).",
            valueName: "file"), completion: .file(extensions: ["json"]))
    var plan: String?
    @Option(
        help: ArgumentHelp(
            "With auto: the most that a matrix may change, as ‖W - V‖ / ‖W‖ (default: 0.02).",
            valueName: "share"))
    var maxWeightError: Double?
    @Option(name: .customLong("output"), help: "The folder or file to write.", completion: .file())
    var destination: String
    @Option(help: ArgumentHelp("Largest safetensors file of a folder.", valueName: "size"))
    var maxShardSize = ByteCount(bytes: 5_000_000_000)
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "Print each matrix with the format it would get, and write nothing.") var dryRun = false

    private var isAuto: Bool { format?.lowercased() == "auto" }

    func validate() throws {
        _ = try conversion()
        guard !isAuto || to != .compressedTensors else {
            throw ValidationError(
                "--format auto measures Winnow's own formats: --to compressed-tensors takes int8 or int4")
        }
        guard isAuto || plan == nil && maxWeightError == nil else {
            throw ValidationError("--plan and --max-weight-error are for --format auto")
        }
        if let maxWeightError, !(maxWeightError >= 0 && maxWeightError < 1) {
            throw ValidationError("--max-weight-error is between 0 and 1, not \(maxWeightError)")
        }
    }

    func run() async throws {
        var conversion = try conversion()
        FreedMemory.returnLargeBlocks()
        running.selectInstructionSet()
        let source = try await model.openCheckpoint(output)
        let planning = try isAuto ? plannedFormats(source) : nil
        conversion.plan = planning?.plan
        var plan = conversion.memoryPlan(for: source)
        plan.add("the program and tokenizer", bytes: Machine.residentBytes)
        if dryRun { return try show(plan, of: conversion, source, planning) }
        try running.admit(plan, output)
        let pool = try KernelPool(threads: running.threadCount)
        let progress = ProgressPrinter(output)
        let written = try conversion.write(source, to: destination, overwrite: overwrite, on: pool) {
            done, all in
            progress.update("converting", done, of: all, "tensors")
            // Small arrays of the last tensor would pin what the large ones left, and the peak would creep up.
            FreedMemory.release()
        }
        for path in written.removedStale { output.note("removed \(path), left by an interrupted run") }
        try planning?.save(output)
        if output.json {
            var answer = JSONObject([
                ("path", .string(written.path)), ("bytes", .integer(Int64(written.bytes))),
                ("bytesBefore", .integer(Int64(source.fileBytes))),
            ])
            planning?.add(to: &answer)
            answer["plan"] = (planning?.file).map { .string($0) }
            StandardOutput.write(.object(answer))
        } else {
            if let planning { StandardOutput.write(planning.text + "\n") }
            StandardOutput.write(
                "\(written.path): \(Format.bytes(written.bytes)), was \(Format.bytes(source.fileBytes))\n")
        }
    }

    private func conversion() throws -> ModelConversion {
        var wanted: WeightFormat?
        if let format, !isAuto {
            guard let found = WeightFormats.named(format.lowercased()) else {
                let names = ModelConversion.formats(for: to).map(\.name).joined(separator: ", ")
                throw ValidationError(
                    "there is no format '\(format)'; for --to \(to.rawValue): \(names), auto")
            }
            wanted = found
        }
        do throws(ConversionError) {
            var conversion = try ModelConversion(to: to, format: wanted)
            conversion.maxShardBytes = maxShardSize.bytes
            return conversion
        } catch { throw ValidationError(error.description) }
    }

    /// The plan of `--format auto`: the one that `--plan` names, if it is there, else a measured one.
    private func plannedFormats(_ source: Checkpoint) throws -> FormatPlanning {
        let file = plan ?? destination + ".plan.json"
        if plan != nil, FileTree.isFile(file) {
            if maxWeightError != nil {
                output.note("\(file) is followed: --max-weight-error is for measuring")
            }
            let plan = try FormatPlan(reading: file)
            try plan.check(source, for: to, file: file)
            return FormatPlanning(plan: plan, file: file, isMeasured: false, overwrite: false)
        }
        let planning = FormatPlanning.Measuring(
            target: to, maxWeightError: maxWeightError ?? 0.02, running: running, output: output)
        if !dryRun { try AtomicOutput.check(file, .file, overwrite: overwrite) }
        return FormatPlanning(
            plan: try planning.plan(for: source), file: file, isMeasured: true, overwrite: overwrite)
    }

    private func show(
        _ memory: MemoryPlan, of conversion: ModelConversion, _ source: Checkpoint,
        _ planning: FormatPlanning?
    ) throws {
        var layers: [JSONValue] = []
        for name in source.names {
            guard case .matrix(let matrix) = try source.tensor(name) else { continue }
            let format = conversion.format(of: matrix.format, name, in: source.configuration)
            layers.append([
                "name": .string(name), "from": .string(matrix.format.name), "to": .string(format.name),
            ])
            if !output.json { StandardOutput.write("\(name)\t\(matrix.format.name) -> \(format.name)\n") }
        }
        guard output.json else {
            if let planning { StandardOutput.write("\n" + planning.text) }
            return StandardOutput.write("\n" + memory.table.text)
        }
        var answer = JSONObject([
            ("path", .string(destination)), ("plan", .array(layers)),
            ("predictedPeakBytes", .integer(Int64(memory.total))), ("memory", memory.json),
        ])
        planning?.add(to: &answer)
        StandardOutput.write(.object(answer))
    }
}

extension ModelConversion.Target: ExpressibleByArgument {}
