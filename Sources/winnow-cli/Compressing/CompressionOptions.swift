import ArgumentParser
import WinnowModels
import WinnowWeights

/// What calibration reads, and how.
struct CalibrationOptions: ParsableArguments {
    @Option(
        name: .customLong("calibration"),
        help: ArgumentHelp(
            "Text to calibrate on, or .jsonl with one {\"text\": …} a line (default: the one inside winnow).",
            valueName: "file"),
        completion: .file())
    var text: String?
    @Option(help: "Calibration windows, fewer where the text is shorter.") var samples = 128
    @Option(help: "Tokens of a calibration window.") var length = 512
    @Option(
        name: .customLong("calibration-activations"),
        help: ArgumentHelp(
            "Inputs of products while calibrating: exact, fast, int8, or bfloat16 where the CPU has it.", valueName: "mode"))
    var activations = ActivationMode.exact

    func validate() throws {
        guard samples > 0, length > 0 else { throw ValidationError("--samples and --length are at least 1") }
    }
}

/// What is measured, and where the result goes.
struct CompressionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Text to measure perplexity on, before and after.", valueName: "file"),
        completion: .file())
    var eval: String?
    @Option(help: "The most windows of it to score (default: all).") var evalWindows: Int?
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "Print each matrix with its rule and what the work takes, and write nothing.")
    var dryRun = false

    func validate() throws {
        if let evalWindows, evalWindows < 1 { throw ValidationError("--eval-windows is at least 1") }
    }
}
