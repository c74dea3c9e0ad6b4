import Testing
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct UsageTests {
    private static let tiny = ["--model", TinyModel.gguf]

    /// Wrong usage: status 2, one line that names the help, nothing on standard output.
    @Test(arguments: [
        ["frobnicate"], ["list", "--frobnicate"], ["generate"], ["generate", "--model"], ["tokenize"] + tiny,
        ["generate", "--prompt", "a", "--temperature", "-1"] + tiny,
        ["generate", "--prompt", "a", "--max-tokens", "0"] + tiny,
        ["generate", "--prompt", "a", "--top-p", "nan"] + tiny,
        ["generate", "--prompt", "a", "--context", "0"] + tiny,
        ["generate", "--prompt", "a", "--stop", ""] + tiny,
        ["generate", "--prompt", "a", "--threads", "0"] + tiny,
        ["generate", "--prompt", "a", "--threads", "many"] + tiny,
        ["generate", "--prompt", "a", "--isa", "sse9"] + tiny,
        ["generate", "--prompt", "a", "--prompt-file", "b"] + tiny,
        ["generate", "--prompt", "a", "--memory-limit", "lots"] + tiny,
        ["logits", "--prompt", "a", "--top", "0"] + tiny,
        ["bench"], ["bench", "--synthetic", "llama-9000b"], ["bench", "--repeats", "0"] + tiny,
        ["bench", "--synthetic", "bert-base", "--tokens", "0"], ["bench", "--pattern", "1x4"] + tiny,
        ["convert", "--to", "compressed-tensors", "--format", "auto", "--output", "x"] + tiny,
        ["convert", "--to", "compressed-tensors", "--format", "q8_0", "--output", "x"] + tiny,
        ["bench", "--synthetic", "llama-135m", "--pattern", "1x4", "--format", "int8"],
        ["bench", "--synthetic", "llama-135m", "--pattern", "4x4", "--format", "masked-int8"],
        ["bench", "--model", TinyModel.encoder, "--tokens", "9000"],
        ["eval", "perplexity", "--window", "1", "--text", "a"] + tiny, ["eval", "poetry"],
        ["embed"] + tiny, ["embed", "--text", "a", "--file", "b"] + tiny,
        ["embed", "--text", "a", "--pooling", "sum"] + tiny,
        ["demo", "--rounds", "0"], ["pull"], ["pull", "hf:noslash"], ["pull", "pip:unpinned"],
        ["pull", "hf:../../etc/passwd"],
    ])
    func wrongUsageIsStatusTwo(_ arguments: [String]) throws {
        let ending = try CommandRun.run(arguments)
        #expect(ending.status == 2)
        #expect(ending.output.isEmpty)
        #expect(ending.errorLines.count == 1, "\(ending.errors)")
        #expect(ending.errors.hasPrefix("error: ") && ending.errors.contains("--help'"))
    }

    /// Work that fails: status 1, one line that says what, where, and what to do.
    @Test(arguments: [
        (["inspect", "--model", "/nowhere/model.gguf"], "/nowhere/model.gguf"),
        (["inspect", "--model", "unknown-name"], "unknown-name"),
        (["inspect", "--model", TinyModel.fixtures + "/logits.safetensors"], "logits.safetensors"),
        (["inspect", "--model", "smollm2-135m-q4_1", "--offline"], "smollm2-135m-q4_1"),
        (["generate", "--prompt", "", "--model", TinyModel.gguf], "prompt is empty"),
        (["generate", "--prompt", "", "--model", TinyModel.chat], "prompt is empty"),
        (["generate", "--prompt-file", "/nowhere", "--model", TinyModel.gguf], "/nowhere"),
        (["embed", "--text", "a", "--model", TinyModel.gguf], "pass --pooling last or mean"),
        (
            [
                "generate", "--prompt", String(repeating: "to be or not ", count: 60), "--model",
                TinyModel.gguf,
            ],
            "do not fit the context of 128"
        ),
        (
            ["generate", "--prompt", "a b c d e f", "--raw", "--context", "3", "--model", TinyModel.gguf],
            "context of 3"
        ),
        (
            ["generate", "--prompt", "a", "--memory-limit", "1KiB", "--model", TinyModel.gguf],
            "a limit of 1.00 KiB is too small: this needs"
        ),
        (["logits", "--prompt", "a", "--output", "/dev/null/x", "--model", TinyModel.gguf], "/dev/null/x"),
        (["detokenize", "5000", "--model", TinyModel.gguf], "outside the vocabulary"),
        (["eval", "perplexity", "--text", "/nowhere", "--model", TinyModel.gguf], "/nowhere"),
        (["pull", "hf:org/name", "--offline"], "--offline"),
    ])
    func failedWorkIsStatusOne(_ arguments: [String], _ expected: String) throws {
        try TemporaryFolder.with { cache in
            let ending = try CommandRun.run(arguments, environment: ["WINNOW_CACHE": cache])
            #expect(ending.status == 1)
            #expect(ending.output.isEmpty)
            #expect(ending.errorLines.count == 1, "\(ending.errors)")
            #expect(
                ending.errors.hasPrefix("error: ") && ending.errors.contains(expected), "\(ending.errors)")
        }
    }

    @Test func chatNeedsATemplate() throws {
        try TemporaryFolder.with { folder in
            try TinyModel.copy(to: folder) { $0 == "chat_template.jinja" ? nil : $1 }
            let ending = try CommandRun.run(["chat", "--model", folder])
            #expect(ending.status == 1 && ending.errors.contains("no chat template"))
        }
    }

    @Test func aFullDiskUnderStandardOutputIsAnError() throws {
        let ending = try CommandRun.run(["--version"], standardOutput: "/dev/full")
        #expect(ending.status == 1)
        #expect(ending.errors == "error: cannot write to standard output: No space left on device\n")
    }

    @Test func anExistingOutputNeedsOverwrite() throws {
        try TemporaryFolder.with { folder in
            let file = folder + "/logits.safetensors"
            let arguments = ["logits", "--prompt", "abc", "--model", TinyModel.gguf, "--output", file]
            #expect(try CommandRun.run(arguments).status == 0)
            let again = try CommandRun.run(arguments)
            #expect(again.status == 1 && again.errors.contains("--overwrite"))
            #expect(try CommandRun.run(arguments + ["--overwrite"]).status == 0)
        }
    }
}
