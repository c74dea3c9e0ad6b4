import ArgumentParser
import CWinnowTexts
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport

/// `winnow demo`: the main job on a real model, and a page that shows what came of it.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Prune a model, measure it before and after, and write a page.",
        discussion: """
            Needs no arguments: the default model is fetched on first use, and the texts are in the program. The \
            file as given is measured first, then what Winnow makes of it, each written, opened again and run. \
            Speeds are measured in turns. The page is report.html, the figures are in report.json beside it.

            Examples:
              winnow demo
              winnow demo --model model.gguf --output report --keep-models \\
                --windows 52 --samples 64
            """)

    @Option(
        help: ArgumentHelp(
            "A folder in Hugging Face layout, a .gguf file, or a name from 'winnow list'.", valueName: "model"
        ),
        completion: .file())
    var model = Catalogue.defaultName
    @OptionGroup var cache: CacheOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination = "winnow-demo"
    @Flag(help: "Replace an existing output.") var overwrite = false
    @Flag(help: "Leave the models that were made in the output folder.") var keepModels = false
    @Option(help: "Windows of 512 tokens to score, 52 at most (default: 4 to 32, by the machine's speed).")
    var windows: Int?
    @Option(help: "Windows of 512 tokens to calibrate on, 80 at most (default: as many as are scored).")
    var samples: Int?
    @Option(help: "Rounds of the speed measurement.") var rounds = 3

    func validate() throws {
        for (name, value) in [("windows", windows), ("samples", samples), ("rounds", rounds)] {
            if let value, value < 1 { throw ValidationError("--\(name) is at least 1, not \(value)") }
        }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let place = try AtomicOutput(destination, .folder, overwrite: overwrite, mark: "report.json")
        for path in place.removedStale { output.note("removed \(path), left by an interrupted run") }
        let path = try await resolveModel(model, cache, output)
        var configuration = running.runnerConfiguration()
        configuration.threads = running.threadCount
        var demo = Demo(
            calibration: DemoCommand.source(winnow_calibration_text()),
            scoring: DemoCommand.source(winnow_scoring_text()), running: configuration,
            versions: try DemoVersion.standard())
        demo.windows = windows
        demo.samples = samples
        demo.seed = running.seed
        demo.speed.promptTokens = 128
        demo.speed.generateTokens = 32
        demo.speed.repeats = rounds
        demo.speed.samplesBandwidth = false
        let loaded = try LoadedModel(opening: path)
        try running.admit(demo.memoryPlan(for: loaded.model), output)

        let progress = ProgressPrinter(output)
        let models = place.partialPath + "/models"
        try FileTree.makeDirectories(models)
        let outcome = try demo.run(path, writingTo: models) { progress.update($0) }
        if !keepModels { FileTree.remove(models) }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let report = DemoReport(
            demo: demo, outcome: outcome, model: model, checkpoint: loaded.checkpoint, seconds: seconds)
        let page = report.page
        try OutputFile.write(page.html, to: place.partialPath + "/report.html")
        try OutputFile.write(page.json, to: place.partialPath + "/report.json")
        try place.commit()

        if output.json {
            StandardOutput.write(page.data)
        } else {
            StandardOutput.write(
                outcome.comparison.table.text + "\n\(outcome.comparison.verdict)\n\(report.remarks)\n"
                    + "\(Format.duration(seconds)). The page: \(destination)/report.html\n")
        }
    }

    private static func source(_ text: UnsafePointer<winnow_text>) -> TextSource {
        let text = text.pointee
        return TextSource(
            name: String(cString: text.name),
            bytes: Array(UnsafeBufferPointer(start: text.bytes, count: text.count)))
    }
}
