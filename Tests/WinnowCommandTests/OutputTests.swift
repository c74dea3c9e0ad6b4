import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct OutputTests {
    /// Runs a verb with `--json`; its answer must be one object with exactly these keys.
    private func object(
        _ arguments: [String], keys: Set<String>, environment: [String: String?] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> JSONValue {
        let ending = try CommandRun.run(arguments + ["--json"], environment: environment)
        #expect(ending.status == 0, "\(ending.errors)", sourceLocation: sourceLocation)
        let json = try ending.json()
        #expect(Set(json.object?.keys ?? []) == keys, sourceLocation: sourceLocation)
        return json
    }

    @Test func listShowsTheCatalogueAndTheCache() throws {
        try TemporaryFolder.with { cache in
            let json = try object(["list"], keys: ["models"], environment: ["WINNOW_CACHE": cache])
            let model = try #require(json["models"]?.array?.first)
            #expect(Set(model.object?.keys ?? []) == ["name", "license", "bytes", "present", "path"])
            #expect(model["name"] == "smollm2-135m-q4_1")
            #expect(model["present"] == false && model["path"]?.isNull == true)
            let text = try CommandRun.run(["list"], environment: ["WINNOW_CACHE": cache])
            #expect(text.output.contains("smollm2-135m-q4_1  Apache-2.0  93.8 MiB  no"))
            #expect(text.output.contains("Cache: \(cache)\n"))
        }
    }

    @Test func doctorSaysWhatIsHere() throws {
        let json = try object(
            ["doctor"],
            keys: [
                "version", "cpu", "isa", "isaAvailable", "logicalCores", "allowedThreads", "physicalCores",
                "defaultThreads", "memoryBytes", "availableBytes", "cgroup", "bandwidth", "cache",
                "cacheFreeBytes",
                "tools", "missing",
            ])
        let cores = try #require(json["physicalCores"]?.integer)
        #expect(cores >= 1 && cores <= json["logicalCores"]?.integer ?? 0)
        #expect(json["isaAvailable"]?.array?.contains("scalar") == true)
        #expect(json["bandwidth"]?.array?.first?["bytesPerSecond"]?.number ?? 0 > 1e8)
    }

    @Test func inspectCountsTheTinyModel() throws {
        let json = try object(
            ["inspect", "--model", TinyModel.gguf],
            keys: ["architecture", "parameters", "prunable", "zeros", "sparsity", "bytes", "layers"])
        #expect(json["architecture"] == "llama")
        // 2 blocks of q, o (64 x 64), k, v (32 x 64), and three of 64 x 96.
        let block = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96
        #expect(json["prunable"]?.integer == 2 * block)
        #expect(json["parameters"]?.integer == 2 * block + 288 * 64 + 5 * 64)
        #expect(json["layers"]?.array?.count == 15)
        #expect(json["layers"]?.array?[1]["shape"] == [64, 64])
        let blocks = try CommandRun.run(["inspect", "--model", TinyModel.gguf])
        #expect(blocks.output.contains("model.layers.1  ") && !blocks.output.contains("up_proj"))
        #expect(blocks.errors == "--layers shows each matrix\n")
        let all = try CommandRun.run(["inspect", "--model", TinyModel.gguf, "--layers"])
        #expect(all.output.contains("model.layers.1.mlp.up_proj.weight"))
    }

    @Test func tokenizeRoundTrips() throws {
        let text = "to be, or not\n\u{1F999} é"
        let json = try object(
            ["tokenize", "--model", TinyModel.gguf, "--text", text], keys: ["ids", "pieces"])
        let ids = (json["ids"]?.array ?? []).compactMap(\.integer)
        #expect(ids.count == json["pieces"]?.array?.count && !ids.isEmpty)
        let back = try object(
            ["detokenize", "--model", TinyModel.gguf] + ids.map(String.init), keys: ["text"])
        #expect(back["text"]?.string == text)
        let piped = try CommandRun.run(
            ["tokenize", "--model", TinyModel.gguf, "--text", "-", "--json"], input: text)
        #expect(try piped.json()["ids"] == json["ids"])
    }

    @Test func embedGivesAVectorForEachText() throws {
        let common = ["embed", "--model", TinyModel.gguf, "--pooling", "mean"]
        let json = try object(
            common + ["--text", "to be", "--text", "or not to be"], keys: ["activations", "embeddings"])
        let vectors = json["embeddings"]?.array ?? []
        #expect(vectors.count == 2 && (vectors.first?.array?.count ?? 0) > 8)
        let lines = try CommandRun.run(common + ["--file", "-", "--json"], input: "or not to be\n\nto be\n")
        #expect(try lines.json()["embeddings"]?.array == vectors.reversed())
        let long = String(repeating: "to be ", count: 200)
        let refused = try CommandRun.run(common + ["--text", "a", "--text", long])
        #expect(refused.status == 1 && refused.errors.hasPrefix("error: text 2 has "))
        #expect(refused.errors.hasSuffix("the model takes 128: shorten it or pass --truncate\n"))
        #expect(try CommandRun.run(common + ["--text", long, "--truncate"]).status == 0)
    }

    @Test func benchTimesAnEncodersTexts() throws {
        let encoder = ["bench", "--model", TinyModel.encoder, "--tokens", "9", "--repeats", "2"]
        let own: Set<String> = [
            "millisecondsPerText", "samples", "tokens", "weightBytes", "peakBytes", "threads", "isa",
            "activations",
        ]
        let json = try object(encoder, keys: own)
        #expect(json["millisecondsPerText"]?.number ?? 0 > 0 && json["samples"]?.array?.count == 2)
        #expect(json["tokens"] == 9)
        let text = try CommandRun.run(encoder + ["--quiet"])
        #expect(text.status == 0 && text.errors.isEmpty)
        #expect(text.output.contains("ms a text") && text.output.contains("texts of 9 tokens, one at a time"))
    }

    @Test(arguments: [TinyModel.gguf, TinyModel.folder, TinyModel.chat])
    func generateAnswersOnce(_ model: String) throws {
        let arguments = [
            "generate", "--model", model, "--prompt", "to be", "--max-tokens", "8", "--threads", "2",
        ]
        let json = try object(
            arguments,
            keys: [
                "text", "tokens", "promptTokens", "prefillTokensPerSecond", "decodeTokensPerSecond",
                "finishReason",
            ])
        #expect(["length", "stop"].contains(json["finishReason"]?.string))
        #expect(json["tokens"]?.array?.count ?? 99 <= 8)
        // The streamed text is the same, and --quiet leaves standard error empty.
        let streamed = try CommandRun.run(arguments + ["--quiet"])
        #expect(streamed.errors.isEmpty)
        #expect(streamed.output == (json["text"]?.string ?? "") + "\n")
    }

    @Test func aMemoryLimitSaysWhereWeightsAre() throws {
        let arguments = [
            "generate", "--model", TinyModel.chat, "--prompt", "to be", "--max-tokens", "8", "--raw",
        ]
        let keys: Set = [
            "text", "tokens", "promptTokens", "prefillTokensPerSecond", "decodeTokensPerSecond",
            "finishReason",
        ]
        let plain = try object(arguments, keys: keys)
        for (options, place) in [
            (["--memory-limit", "1GiB"], "resident"), (["--weights", "streamed"], "streamed"),
            (["--weights", "streamed", "--cached-reads"], "streamed"), (["--weights", "mapped"], "mapped"),
        ] {
            let json = try object(arguments + options, keys: keys.union(["weights"]))
            #expect(json["weights"]?["placement"]?.string == place)
            #expect(json["tokens"] == plain["tokens"] && json["text"] == plain["text"])
            let isStreamed = place == "streamed"
            #expect((json["weights"]?["bytesPerStep"]?.integer ?? 0 > 0) == isStreamed)
            #expect(json["weights"]?["diskBytesPerSecond"]?.isNull == !isStreamed)
        }
        let said = try CommandRun.run(arguments + ["--weights", "streamed"])
        #expect(said.errors.contains("weights streamed: no block resident"), "\(said.errors)")
        #expect(said.errors.contains("steps/s"))
        let refused = try CommandRun.run(["bench", "--synthetic", "llama-135m", "--weights", "streamed"])
        #expect(refused.status == 2)
    }

    @Test func logitsAreProbabilities() throws {
        let json = try object(
            ["logits", "--model", TinyModel.gguf, "--prompt", "abc", "--top", "288"],
            keys: ["ids", "positions", "activations"])
        let positions = try #require(json["positions"]?.array)
        #expect(positions.count == json["ids"]?.array?.count)
        for position in positions {
            let logs = (position["top"]?.array ?? []).compactMap { $0["logprob"]?.number }
            #expect(logs.count == 288)
            #expect(abs(logs.reduce(0) { $0 + exp($1) } - 1) < 1e-4)
        }
    }

    @Test func chatAnswersEachLineUntilTheEnd() throws {
        let ending = try CommandRun.run(
            ["chat", "--model", TinyModel.chat, "--max-tokens", "3"],
            input: "to be\n\n/clear\nor not\n/exit\nnever\n")
        #expect(ending.status == 0 && ending.errors.isEmpty)
        #expect(ending.output.split(separator: "\n", omittingEmptySubsequences: false).count >= 3)
    }
}
