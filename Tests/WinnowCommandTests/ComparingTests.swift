import Testing
import WinnowJSON
import WinnowTestKit

/// Verbs that set models, answers or structures side by side, as a user meets them.
@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct ComparingTests {
    private let text = String(repeating: "The quick brown fox jumps over the lazy dog. ", count: 12)

    @Test func promptsOfAFileAreAnsweredInOrder() throws {
        try TemporaryFolder.with { folder in
            let file = folder + "/prompts.jsonl"
            try TemporaryFolder.write(
                Array(
                    "{\"prompt\": \"The quick\", \"max_tokens\": 7}\n\n{\"prompt\": \"a\", \"temperature\": 0.5}\n"
                        .utf8), to: file)
            let arguments = [
                "generate", "--model", TinyModel.folder, "--prompts-file", file, "--max-tokens", "4",
            ]
            let ending = try CommandRun.run(arguments + ["--json"])
            #expect(ending.status == 0, "\(ending.errors)")
            let results = try #require(try ending.json()["results"]?.array)
            #expect(
                results.map { $0["index"] } == [0, 1] && results.map { $0["tokens"]?.array?.count } == [7, 4])
            let alone = try CommandRun.run(
                [
                    "generate", "--model", TinyModel.folder, "--prompt", "The quick", "--max-tokens", "7",
                    "--json",
                ])
            #expect(try alone.json()["text"] == results[0]["text"])
            let lines = try CommandRun.run(arguments + ["--batch", "1"]).output.split(separator: "\n")
            #expect(
                try lines.map { try JSONValue(parsing: String($0))["text"] } == results.map { $0["text"] })
            try TemporaryFolder.write(Array("{\"prompt\": \"x\"}\n{\"promt\": \"y\"}".utf8), to: file)
            let wrong = try CommandRun.run(arguments)
            #expect(wrong.status == 1 && wrong.errors.contains("\(file):2: unknown key 'promt'"))
        }
    }

    /// An adapter that is trained here runs beside its base, is picked by name, and answers as when it is merged.
    @Test func adaptersRunBesideTheirBase() throws {
        try TemporaryFolder.with { folder in
            let file = folder + "/text.txt"
            try TemporaryFolder.write(Array(text.utf8), to: file)
            let base = ["--model", TinyModel.folder]
            let trained = try CommandRun.run(
                ["finetune"] + base + [
                    "--text", file, "--adapter-rank", "2", "--steps", "20", "--batch", "2", "--length", "16",
                    "--learning-rate", "5e-2", "--output", folder + "/run",
                ])
            #expect(trained.status == 0, "\(trained.errors)")
            let adapter = folder + "/run/adapter"
            let generate =
                ["generate"] + base + [
                    "--prompt", "The quick", "--raw", "--max-tokens", "8", "--json", "--activations", "exact",
                ]
            let plain = try CommandRun.run(generate).json()
            let beside = try CommandRun.run(generate + ["--adapter", adapter + ":mine"]).json()
            #expect(plain["adapter"] == nil && beside["adapter"]?.string == "mine")
            #expect(beside["tokens"] != plain["tokens"])
            let none = try CommandRun.run(generate + ["--adapter", adapter, "--adapter-scale", "0"]).json()
            #expect(none["tokens"] == plain["tokens"])
            #expect(
                try CommandRun.run(
                    ["merge"] + base + ["--adapter", adapter, "--output", folder + "/merged"]
                ).status == 0)
            var merged = generate
            merged[2] = folder + "/merged"
            #expect(try CommandRun.run(merged).json()["tokens"] == beside["tokens"])

            let prompts = folder + "/prompts.jsonl"
            try TemporaryFolder.write(
                Array(
                    ("{\"prompt\": \"The quick\", \"adapter\": \"\"}\n{\"prompt\": \"The quick\"}\n"
                        + "{\"prompt\": \"The quick\", \"adapter\": \"b\"}\n").utf8), to: prompts)
            let many =
                ["generate"] + base + [
                    "--prompts-file", prompts, "--raw", "--max-tokens", "8", "--json", "--activations",
                    "exact",
                    "--adapter", adapter + ":a",
                ]
            let results = try #require(
                try CommandRun.run(many + ["--adapter", adapter + ":b"]).json()["results"]?.array)
            #expect(results.map { $0["adapter"]?.string } == ["", "a", "b"])
            #expect(results.map { $0["tokens"] } == [plain["tokens"], beside["tokens"], beside["tokens"]])
            let missing = try CommandRun.run(many)
            #expect(missing.status == 1 && missing.errors.contains("no adapter 'b'; there are a"))
            let twice = try CommandRun.run(many + ["--adapter", adapter + ":a"])
            #expect(twice.status == 2 && twice.errors.contains("two adapters are named 'a'"))
            let other = try CommandRun.run(
                [
                    "generate", "--model", TinyModel.fixtures + "/../families/gpt2", "--prompt", "x",
                    "--adapter", adapter,
                ])
            #expect(other.status == 1 && other.errors.contains("is it for another base?"))
        }
    }

    @Test func aDraftLeavesTheTextAsItIs() throws {
        let arguments = [
            "generate", "--model", TinyModel.folder, "--prompt", "The quick", "--max-tokens", "20", "--json",
        ]
        let plain = try CommandRun.run(arguments).json()
        for draft in [TinyModel.chat, "prompt"] {
            let drafted = try CommandRun.run(arguments + ["--draft", draft, "--draft-tokens", "3"]).json()
            #expect(drafted["text"] == plain["text"] && drafted["tokens"] == plain["tokens"])
            #expect(drafted["draftedTokens"]?.integer ?? -1 >= drafted["acceptedTokens"]?.integer ?? .max)
        }
        let other = try CommandRun.run(arguments + ["--draft", TinyModel.fixtures + "/../families/gpt2"])
        #expect(other.status == 1 && other.errors.contains("another vocabulary"))
    }

    @Test func twoModelsMakeAPage() throws {
        try TemporaryFolder.with { folder in
            let file = folder + "/text.txt"
            try TemporaryFolder.write(Array(text.utf8), to: file)
            let arguments = ["compare", TinyModel.folder, TinyModel.gguf, "--text", file, "--window", "32"]
            let json = try CommandRun.run(arguments + ["--output", folder + "/page", "--json"]).json()
            #expect(json["kl"]?.number ?? 0 > 0 && json["kl"]?.number ?? 9 < 1)
            #expect(json["layers"]?.array?.count == 14 && json["blocks"]?.array?.count == 2)
            let page = String(decoding: TinyModel.contents(folder + "/page/report.html"), as: UTF8.self)
            #expect(page.contains("Distance of hidden states") && page.hasSuffix("</html>\n"))
            let again = try CommandRun.run(arguments + ["--output", folder + "/page"])
            #expect(again.status == 1 && again.errors.contains("--overwrite"))
        }
    }

    @Test func droppedStructuresLeaveASmallerModel() throws {
        try TemporaryFolder.with { folder in
            let file = folder + "/text.txt"
            try TemporaryFolder.write(Array(text.utf8), to: file)
            for structure in ["neurons", "heads", "layers"] {
                let output = "\(folder)/\(structure)"
                let json = try CommandRun.run([
                    "prune", "--model", TinyModel.folder, "--structure", structure, "--fraction", "0.5",
                    "--calibration", file,
                    "--samples", "4", "--length", "32", "--output", output, "--json",
                ]).json()
                #expect(json["weights"]?.integer ?? .max < json["weightsBefore"]?.integer ?? 0)
                #expect(json["kept"]?.array?.count == (structure == "layers" ? 1 : 2))
                let shape = try CommandRun.run(["inspect", "--model", output, "--json"]).json()
                #expect(shape["prunable"] == json["weights"])
            }
            let mixed = try CommandRun.run([
                "prune", "--model", TinyModel.folder, "--structure", "layers", "--sparsity", "0.5",
                "--output", folder + "/x",
            ])
            #expect(mixed.status == 2)
        }
    }

    @Test func tasksAreScored() throws {
        try TemporaryFolder.with { folder in
            let yaml = """
                task: t
                dataset_path: json
                dataset_kwargs: {data_files: {test: d.jsonl}}
                test_split: test
                output_type: multiple_choice
                doc_to_text: q
                doc_to_choice: ["one", "two"]
                doc_to_target: a
                """
            try TemporaryFolder.write(Array(yaml.utf8), to: folder + "/t.yaml")
            try TemporaryFolder.write(
                Array("{\"q\": \"x\", \"a\": 0}\n{\"q\": \"y\", \"a\": 0}".utf8), to: folder + "/d.jsonl")
            let ending = try CommandRun.run([
                "eval", "tasks", "--model", TinyModel.folder, "--tasks", folder + "/t.yaml", "--samples",
                folder + "/s.json", "--json",
            ])
            #expect(ending.status == 0, "\(ending.errors)")
            let accuracy = try #require(try ending.json()["results"]?["t"]?["acc,none"]?.number)
            #expect([0, 0.5, 1].contains(accuracy))
            let samples = try JSONValue(parsing: TinyModel.contents(folder + "/s.json"))
            #expect(samples["t"]?.array?.count == 2)
        }
    }
}
