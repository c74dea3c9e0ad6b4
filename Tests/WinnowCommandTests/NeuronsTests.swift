import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct NeuronsTests {
    private static let tiny = ["--model", TinyModel.gguf]
    private static let text = String(repeating: "to be or not to be, that is the question. ", count: 60)

    private func json(_ arguments: [String]) throws -> JSONValue {
        let ending = try CommandRun.run(arguments + ["--json", "--quiet"])
        #expect(ending.status == 0, "\(ending.errors)")
        return try ending.json()
    }

    private static let prompt = ["--prompt", "to be or not to be, that is", "--max-tokens", "12"]

    /// The report comes with the option alone, and says what was kept; all neurons write the dense text.
    @Test func generateSaysWhatItKept() throws {
        let generate = ["generate"] + NeuronsTests.tiny + NeuronsTests.prompt
        let dense = try json(generate)
        #expect(dense["coreNeurons"] == nil)
        let all = try json(generate + ["--core-neurons", "1"])
        #expect(all["text"] == dense["text"] && all["tokens"] == dense["tokens"])
        #expect(all["coreNeurons"]?["layers"] == [.null, .null] as JSONValue)
        let some = try json(
            generate + ["--core-neurons", "0.25", "--core-layers", "1-1", "--core-by", "magnitude"])
        let report = try #require(some["coreNeurons"])
        #expect(
            Set(report.object?.keys ?? []) == [
                "mode", "share", "layers", "packedBytes", "wholeBytes", "seconds",
            ])
        #expect(report["mode"] == "stability" && report["share"] == 0.25)
        #expect(report["layers"] == [.null, 24] as JSONValue)
        #expect((report["packedBytes"]?.integer ?? 0) < (report["wholeBytes"]?.integer ?? 0))
        // The first token comes from the prompt's prefill, which is whole.
        #expect(some["tokens"]?.array?.first == dense["tokens"]?.array?.first)
        let text = try CommandRun.run(generate + ["--core-neurons", "0.25"])
        #expect(text.errors.contains("25.0 % of the neurons of 2 layers (stability), "))
    }

    @Test func draftsAndChatsRunWithFewerNeurons() throws {
        let generate = ["generate"] + NeuronsTests.tiny + NeuronsTests.prompt + ["--core-neurons", "0.5"]
        let alone = try json(generate)
        let drafted = try json(generate + ["--draft", "prompt"])
        #expect(drafted["text"] == alone["text"] && drafted["coreNeurons"] != nil)
        let chat = ["chat", "--model", TinyModel.chat, "--max-tokens", "3", "--core-neurons", "0.5"]
        let answers = try CommandRun.run(chat, input: "to be\nto be\n/clear\nto be\n")
        #expect(answers.status == 0 && answers.errors.isEmpty)
        // A conversation that begins anew gives the answer that it gave before: nothing is left of the others.
        let lines = answers.output.split(separator: "\n", omittingEmptySubsequences: false)
        let first = try CommandRun.run(chat, input: "to be\n").output
        #expect(lines.count >= 3 && answers.output.hasPrefix(first) && answers.output.hasSuffix(first))
    }

    @Test func profilesAreMadeAndUsed() throws {
        try TemporaryFolder.with { folder in
            let (text, profile) = ("\(folder)/text.txt", "\(folder)/p.neurons")
            try TemporaryFolder.write(Array(NeuronsTests.text.utf8), to: text)
            let make =
                ["neurons"] + NeuronsTests.tiny + [
                    "--text", text, "--output", profile, "--length", "16", "--samples", "20",
                ]
            let made = try json(make)
            #expect(
                Set(made.object?.keys ?? []) == [
                    "path", "tokens", "texts", "clusters", "clusterLayer", "used", "textSha256",
                    "activations", "seconds",
                ])
            #expect(made["texts"] == 20 && made["tokens"] == 320)
            let again = try CommandRun.run(make)
            #expect(again.status == 1 && again.errors.contains("--overwrite"))

            let generate = ["generate"] + NeuronsTests.tiny + NeuronsTests.prompt + ["--core-neurons", "0.5"]
            let similar = try json(generate + ["--core-mode", "similarity", "--core-profile", profile])
            #expect(similar["coreNeurons"]?["mode"] == "similarity")
            #expect(similar["coreNeurons"]?["cluster"]?.integer != nil)
            let automatic = try json(generate + ["--core-profile", profile])
            #expect(automatic["coreNeurons"]?["overlap"]?.number != nil)

            let other = try CommandRun.run(
                ["generate", "--model", TinyModel.chat, "--core-neurons", "0.5", "--core-profile", profile]
                    + NeuronsTests.prompt)
            #expect(other.status == 1 && other.errors.contains("is the profile of another model: "))
            let damaged = try CommandRun.run(generate + ["--core-profile", text])
            #expect(
                damaged.status == 1
                    && damaged.errors.contains("text.txt is no profile of neurons, or damaged"))
        }
    }

    @Test func evaluationComparesRivals() throws {
        try TemporaryFolder.with { folder in
            let text = "\(folder)/text.txt"
            try TemporaryFolder.write(Array(NeuronsTests.text.utf8), to: text)
            let evaluate =
                ["eval", "neurons"] + NeuronsTests.tiny + [
                    "--text", text, "--window", "64", "--max-windows", "3", "--betas", "0.5,0.25",
                ]
            let found = try json(
                evaluate + ["--generate-tokens", "4", "--repeats", "1", "--output", "\(folder)/page"])
            #expect(
                Set(found.object?.keys ?? []) == [
                    "perplexity", "nll", "layers", "alpha", "windows", "window", "scoredTokens", "textSha256",
                    "activations", "shares",
                ])
            let shares = found["shares"]?.array ?? []
            #expect(shares.count == 2 && shares[0]["decodeRatio"]?.number != nil)
            #expect(
                shares[0]["policies"]?.array?.compactMap { $0["name"]?.string } == [
                    "core", "core by |a|", "weight norm", "random",
                ])
            #expect(shares[1]["policies"]?.array?[0]["share"] == 0.25)
            // With all neurons the figure is that of eval perplexity.
            let dense = try json(
                ["eval", "perplexity"] + NeuronsTests.tiny + [
                    "--text", text, "--window", "64", "--max-windows", "3",
                ])
            #expect(found["perplexity"] == dense["perplexity"])
            let page = String(decoding: TinyModel.contents("\(folder)/page/report.html"), as: UTF8.self)
            #expect(page.contains("Loss by what is kept") && page.contains("Decode speed by what is kept"))
            #expect(
                try JSONValue(parsing: TinyModel.contents("\(folder)/page/neurons.json"))["shares"]?.array?
                    .count == 2)
            let plain = try CommandRun.run(evaluate + ["--generate-tokens", "0", "--quiet"])
            #expect(plain.output.contains("weight norm") && !plain.output.contains("ratio"))
        }
    }

    @Test(arguments: [
        (["--core-neurons", "0"], "--core-neurons must be more than 0 and at most 1, not 0.0"),
        (["--core-neurons", "1.5"], "--core-neurons must be more than 0 and at most 1, not 1.5"),
        (["--core-neurons", "0.5", "--core-alpha", "nan"], "--core-alpha must be more than 0"),
        (["--core-alpha", "0.5"], "--core-alpha needs --core-neurons"),
        (["--core-neurons", "0.5", "--core-layers", "5-2"], "--core-layers"),
        (
            ["--core-neurons", "0.5", "--core-mode", "similarity"],
            "--core-mode similarity needs --core-profile"
        ),
        (
            ["--core-neurons", "0.5", "--core-mode", "stability", "--core-profile", "p"],
            "--core-mode stability reads no --core-profile"
        ),
        (
            ["--core-neurons", "0.5", "--core-alpha", "0.2", "--core-profile", "p"],
            "are as in the --core-profile"
        ),
    ])
    func badSettingsAreUsageErrors(_ options: [String], _ expected: String) throws {
        let ending = try CommandRun.run(["generate"] + NeuronsTests.tiny + NeuronsTests.prompt + options)
        #expect(ending.status == 2 && ending.errors.contains(expected), "\(ending.errors)")
    }

    @Test func whatCannotWorkIsRefused() throws {
        let many = try CommandRun.run(
            ["generate", "--prompts-file", "p.jsonl", "--core-neurons", "0.5"] + NeuronsTests.tiny)
        #expect(many.status == 2)
        #expect(many.errors.contains("--core-neurons works on one prompt, not on --prompts-file"))
        let layers = try CommandRun.run(
            ["generate", "--core-neurons", "0.5", "--core-layers", "1-7"] + NeuronsTests.tiny
                + NeuronsTests.prompt)
        #expect(layers.status == 1)
        #expect(layers.errors == "error: layers 1-7 of a model whose layers are 0-1\n")
        let missing = try CommandRun.run(
            ["generate", "--core-neurons", "0.5", "--core-profile", "/nowhere"] + NeuronsTests.tiny
                + NeuronsTests.prompt)
        #expect(missing.status == 1 && missing.errors.contains("/nowhere"))
        var families = TinyModel.fixtures.split(separator: "/", omittingEmptySubsequences: false)
        families.removeLast()
        let mixtral = families.joined(separator: "/") + "/families/mixtral"
        for verb in [
            ["eval", "neurons", "--text", mixtral + "/config.json"],
            ["neurons", "--output", "/tmp/none.neurons"],
        ] {
            let ending = try CommandRun.run(verb + ["--model", mixtral])
            #expect(ending.status == 1, "\(ending.errors)")
            #expect(!ending.errors.contains("crash"))
        }
    }
}
