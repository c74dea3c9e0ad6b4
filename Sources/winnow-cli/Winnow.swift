import ArgumentParser
import Glibc

/// The `winnow` command: one verb a job.
@main
struct Winnow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "winnow",
        abstract: "Makes language models sparse, and sparse models fast, on CPUs.",
        discussion: """
            Start with 'winnow demo': it prunes a small model, measures it before and after, and writes a page.

            A model is a folder in Hugging Face layout, a .gguf file, or a name that 'winnow list' shows. \
            Exit status: 0 good, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
            """,
        version: "winnow \(WinnowVersion.current)",
        subcommands: [
            ListCommand.self, PullCommand.self, InspectCommand.self, GenerateCommand.self, ChatCommand.self,
            EmbedCommand.self, TokenizeCommand.self, DetokenizeCommand.self, LogitsCommand.self,
            EvalCommand.self, CompareCommand.self, NeuronsCommand.self,
            TrainTokenizerCommand.self, TrainCommand.self, FinetuneCommand.self, MergeCommand.self,
            PruneCommand.self, QuantizeCommand.self, CompressCommand.self, SweepCommand.self,
            RecommendCommand.self, ConvertCommand.self, BenchCommand.self, WhyCommand.self,
            DoctorCommand.self,
            DemoCommand.self,
        ])

    /// Parses, runs, and maps every ending to the exit status that `cli.md` promises.
    static func main() async {
        Interruption.install()
        do {
            var command = try parseAsRoot()
            if var verb = command as? AsyncParsableCommand {
                try await verb.run()
            } else {
                try command.run()
            }
        } catch {
            Glibc.exit(ExitReport(error).show())
        }
        Glibc.exit(0)
    }
}

/// The version that `--version`, reports and files name.
enum WinnowVersion {
    static let current = "0.1.0"
}
