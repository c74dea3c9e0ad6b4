import ArgumentParser
import WinnowCompress
import WinnowJSON
import WinnowWeights

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Round a model's weights to fewer bits; what was pruned stays zero.",
        discussion: """
            W8A16  int8, a scale a row              W4A16  int4, a scale for --group columns
            W8A8   blocks of 32, 8-bit inputs too   W3A16  the 8 inner codes of int4: no fewer bytes

            rtn    rounds each weight to its nearest code
            gptq   rounds column by column and lets the others make up for it; calibrates on text
            awq    scales up the inputs that matter before it rounds; calibrates on text
            smoothquant  moves the range of inputs into weights before it rounds; W8A8 is then
                   int8, a scale a row (run with --activations int8 for 8-bit inputs)

            A model with masks keeps them. Embeddings, head and norms stay as they are.

            Example:
              winnow quantize --model smollm2-135m-q4_1 --scheme W4A16 --group 64 \\
                --method gptq --calibration book.txt --output small
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "One of: \(QuantizationScheme.all.map(\.name).joined(separator: ", ")).")
    var scheme: String
    @Option(help: "One of: \(MethodRegistry.standard.names(.quantization).joined(separator: ", ")).")
    var method = "gptq"
    @Option(help: "Columns that share a scale in W4A16 and W3A16: 32, 64 or 128.") var group = 128
    @Option(
        help: ArgumentHelp(
            "gptq: added to the Hessian's diagonal, a share of its mean (default: 0.01).", valueName: "share")
    )
    var damping: Double?
    @Option(help: ArgumentHelp("gptq: columns of a block (default: 128).", valueName: "columns"))
    var blockSize: Int?
    @Flag(help: "gptq: take the columns with the largest inputs first.") var actOrder = false
    @Flag(help: "gptq: calibrate each layer on what the rounded ones before it in its block make.")
    var trueSequential = false
    @Option(
        help: ArgumentHelp(
            "smoothquant: how much of the inputs' range goes into weights, 0 to 1 (default: 0.5).",
            valueName: "power"))
    var alpha: Double?
    @OptionGroup var calibration: CalibrationOptions
    @OptionGroup var compressing: CompressionOptions

    func validate() throws {
        guard [32, 64, 128].contains(group) else {
            throw ValidationError("--group is 32, 64 or 128, not \(group)")
        }
        guard form != nil else {
            let names = QuantizationScheme.all.map(\.name).joined(separator: ", ")
            throw ValidationError("--scheme is one of \(names), not \(scheme)")
        }
        do { _ = try makeMethod() } catch let error as ConfigurationError {
            throw ValidationError("\(error)")
        }
    }

    func run() async throws {
        var run = CompressionRun(
            verb: "quantizing", methodName: method, model: model, running: running, output: output,
            calibration: calibration, options: compressing)
        run.scheme = scheme
        try await run.run(try makeMethod(), form!)
    }

    private var form: StoredForm? { QuantizationScheme.named(scheme)?.form(group: group, method: method) }

    private func makeMethod() throws -> any LayerMethod {
        let entry = try MethodRegistry.standard.entry(method)
        guard entry.purpose == .quantization else {
            throw ConfigurationError.unknownMethod(
                name: method, known: MethodRegistry.standard.names(.quantization))
        }
        var settings = JSONObject()
        if let damping { settings["damping"] = .number(damping) }
        if let blockSize { settings["block_size"] = .integer(Int64(blockSize)) }
        if let alpha { settings["alpha"] = .number(alpha) }
        if actOrder { settings["act_order"] = true }
        if trueSequential { settings["true_sequential"] = true }
        return try entry.make(settings)
    }
}
