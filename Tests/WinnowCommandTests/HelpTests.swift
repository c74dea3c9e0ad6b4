import Testing

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct HelpTests {
    /// The verbs that the root help lists, so that a new verb is tested without a row here.
    static let verbs: [String] = {
        guard let help = try? CommandRun.run(["--help"]).output,
            let list = help.firstRange(of: "SUBCOMMANDS:\n")?.upperBound
        else { return [] }
        return help[list...].split(separator: "\n", omittingEmptySubsequences: false)
            .prefix { $0.hasPrefix("  ") }
            .filter { !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
    }()

    @Test func rootHelpListsTheVerbs() throws {
        let ending = try CommandRun.run(["--help"])
        #expect(ending.status == 0 && ending.errors.isEmpty)
        for verb in [
            "list", "pull", "inspect", "generate", "chat", "tokenize", "detokenize", "logits", "eval",
            "bench", "doctor", "demo",
        ] {
            #expect(HelpTests.verbs.contains(verb), "\(verb) is not in the help")
        }
        #expect(try CommandRun.run([]).output == ending.output)
    }

    @Test(arguments: verbs)
    func everyVerbHasHelpWithAnExample(_ verb: String) throws {
        let ending = try CommandRun.run([verb, "--help"])
        #expect(ending.status == 0 && ending.errors.isEmpty)
        #expect(ending.output.hasPrefix("OVERVIEW: "))
        #expect(ending.output.contains("Example"))
        #expect(ending.output.contains("winnow \(verb)"))
        #expect(ending.output.contains("USAGE: winnow \(verb)"))
        #expect(ending.output.split(separator: "\n").allSatisfy { $0.count <= 120 })
        #expect(try CommandRun.run(["help", verb]).output == ending.output)
    }

    @Test func versionIsOneLine() throws {
        let ending = try CommandRun.run(["--version"])
        #expect(ending.status == 0)
        #expect(ending.output.wholeMatch(of: /winnow \d+\.\d+\.\d+\n/) != nil)
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreGenerated(_ shell: String) throws {
        let ending = try CommandRun.run(["--generate-completion-script", shell])
        #expect(ending.status == 0 && ending.errors.isEmpty)
        #expect(ending.output.contains("generate") && ending.output.contains("max-tokens"))
    }
}
