import Glibc
import Testing
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct InterruptionTests {
    /// Calls the body with a copy of the tiny model that never ends a text, and has a long context.
    private func withPatientModel(_ body: (String) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            try TinyModel.copy(to: folder) { name, text in
                switch name {
                case "config.json":
                    text.replacing(
                        "\"max_position_embeddings\": 128", with: "\"max_position_embeddings\": 200000"
                    )
                    .replacing("\"eos_token_id\": 2,", with: "")
                default:
                    // Neither by its configuration nor by a name that every tokenizer takes for an end.
                    text.replacing("\"eos_token\": \"<|im_end|>\",", with: "")
                        .replacing("<|im_end|>", with: "<|im_then|>")
                        .replacing("<|endoftext|>", with: "<|startoftext|>")
                }
            }
            try body(folder)
        }
    }

    private static let long = ["--max-tokens", "100000", "--temperature", "1", "--prompt", "to be"]

    @Test func controlCKeepsTheTextSoFar() throws {
        try withPatientModel { model in
            let run = try CommandRun(["generate", "--model", model] + InterruptionTests.long)
            #expect(run.waitForOutput { $0.utf8.count > 200 })
            run.signal(SIGINT)
            let ending = try run.ending(seconds: 30)
            #expect(ending.status == 130)
            #expect(ending.output.utf8.count > 200 && ending.output.hasSuffix("\n"))
            #expect(ending.errorLines.count == 1 && ending.errors.contains("tokens/s"), "\(ending.errors)")
        }
    }

    @Test func controlCStillGivesOneObject() throws {
        try withPatientModel { model in
            let run = try CommandRun(["generate", "--model", model, "--json"] + InterruptionTests.long)
            // Nothing is printed before the end; by then it generates.
            usleep(1_500_000)
            run.signal(SIGINT)
            let ending = try run.ending(seconds: 30)
            #expect(ending.status == 130)
            #expect(try ending.json()["finishReason"] == "cancelled")
        }
    }

    @Test func terminationIsNotAsked() throws {
        try withPatientModel { model in
            let run = try CommandRun(["generate", "--model", model] + InterruptionTests.long)
            #expect(run.waitForOutput { $0.utf8.count > 20 })
            run.signal(SIGTERM)
            #expect(try run.ending(seconds: 30).status == 143)
        }
    }

    @Test func aClosedPipeEndsSilently() throws {
        try withPatientModel { model in
            let run = try CommandRun(["generate", "--model", model] + InterruptionTests.long)
            #expect(run.waitForOutput { $0.utf8.count > 20 })
            run.abandonOutput()
            let ending = try run.ending(seconds: 30)
            #expect(ending.errors.isEmpty)
            #expect(ending.status == 128 + SIGPIPE)
        }
    }

    @Test func controlCAtTheChatPromptLeavesAndInAnAnswerDoesNot() throws {
        try withPatientModel { model in
            let run = try CommandRun([
                "chat", "--model", model, "--max-tokens", "100000", "--temperature", "1",
            ])
            run.send("to be\n")
            #expect(run.waitForOutput { $0.utf8.count > 100 })
            run.signal(SIGINT)
            #expect(run.waitForOutput { $0.hasSuffix("\n") })
            usleep(200_000)
            run.signal(SIGINT)
            #expect(try run.ending(seconds: 30).status == 130)
        }
    }

    @Test func controlCEndsABench() throws {
        let run = try CommandRun([
            "bench", "--model", TinyModel.gguf, "--prompt-tokens", "0", "--generate-tokens", "1", "--repeats",
            "100000000",
        ])
        usleep(1_000_000)
        run.signal(SIGINT)
        let ending = try run.ending(seconds: 30)
        #expect(ending.status == 130 && ending.output.isEmpty)
    }
}
