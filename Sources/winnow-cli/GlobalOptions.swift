import ArgumentParser

// The options of `cli.md`'s "Everywhere", in groups: a verb takes the groups that it uses.

/// How a verb answers.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print exactly one JSON object on standard output.")
    var json = false

    @Flag(help: "Show no progress and no notes on standard error.")
    var quiet = false

    @Option(help: ArgumentHelp("How much to say on standard error.", valueName: "level"))
    var logLevel = LogLevel.info

    /// Says something on standard error, unless `--quiet` or the level forbid it.
    func note(_ text: String, level: LogLevel = .info) {
        guard !quiet, level <= logLevel else { return }
        StandardError.write(text + "\n")
    }
}

enum LogLevel: String, CaseIterable, ExpressibleByArgument, Comparable {
    case error, warning, info, debug

    static func < (left: LogLevel, right: LogLevel) -> Bool {
        allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
    }
}

/// Where fetched models live, and whether to fetch.
struct CacheOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder for fetched models (default: WINNOW_CACHE, HF_HUB_CACHE, HF_HOME, or ~/.cache/winnow).",
            valueName: "dir"),
        completion: .directory)
    var cache: String?

    @Flag(help: "Never use the network.")
    var offline = false
}

/// The model a verb works on.
struct ModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A folder in Hugging Face layout, a .gguf file, or a name from 'winnow list'.", valueName: "model"
        ),
        completion: .file())
    var model: String

    @OptionGroup var cache: CacheOptions
}

extension ModelOptions {
    /// The path to open: as given when it is there, else fetched into the cache on first use.
    func resolve(_ output: OutputOptions) async throws -> String {
        try await resolveModel(model, cache, output)
    }
}

/// The path of a model: a file or folder as it stands, else a catalogue name, `hf:` or `pip:` reference that is
/// fetched on first use.
func resolveModel(_ argument: String, _ cache: CacheOptions, _ output: OutputOptions) async throws -> String {
    if FileTree.isDirectory(argument) || FileTree.isFile(argument) { return argument }
    if argument.hasPrefix("/") || argument.hasPrefix(".") || argument.hasSuffix(".gguf"),
        !argument.hasPrefix("hf:")
    {
        throw CommandError(
            "no such file or folder", at: argument,
            remedy: "check the path, or name a model that 'winnow list' shows")
    }
    return try await ModelFetcher(cache, output).fetch(try ModelReference(argument))
}
