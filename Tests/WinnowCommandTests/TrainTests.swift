import Glibc
import Testing
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct TrainTests {
    private static let text = (0..<400).map { "line \($0): to be or not to be, that is \($0 * $0 % 97)\n" }
        .joined()

    /// Calls the body with a folder that holds a text and a recipe, and the arguments of a tiny run but its output.
    private func withRun(_ body: (_ folder: String, _ arguments: [String]) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array(TrainTests.text.utf8), to: "\(folder)/text.txt")
            try TemporaryFolder.write(
                Array(#"{"checkpoint_every": 2, "evaluate_every": 4, "batch": 2, "length": 24}"#.utf8),
                to: "\(folder)/recipe.json")
            try body(
                folder,
                [
                    "train", "--text", "\(folder)/text.txt", "--tokenizer", TinyModel.chat, "--layers", "1",
                    "--width",
                    "16", "--heads", "2", "--steps", "12", "--learning-rate", "0.01", "--recipe",
                    "\(folder)/recipe.json", "--threads", "1", "--quiet", "--sparsity", "0.5",
                ])
        }
    }

    @Test func theJSONHasItsKeys() throws {
        try withRun { folder, arguments in
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/run", "--json"])
            #expect(ending.status == 0, "\(ending.errors)")
            let json = try ending.json()
            #expect(json["steps"]?.integer == 12 && json["tokens"]?.integer == 12 * 48)
            #expect(
                json["sparsity"]?.number == 0.5 && json["zeros"]?.integer == json["prunable"]!.integer! / 2)
            #expect(json["loss"]?.number != nil && json["evalLoss"]?.number != nil)
            let page = String(decoding: TinyModel.contents("\(folder)/run/report.html"), as: UTF8.self)
            #expect(page.contains("<polyline class=\"curve base\""))
            // The model runs, and a second command has nothing left to do.
            let made = try CommandRun.run([
                "generate", "--model", "\(folder)/run/model", "--prompt", "to be", "--max-tokens", "4",
                "--raw", "--quiet",
            ])
            #expect(made.status == 0, "\(made.errors)")
            let again = try CommandRun.run(arguments + ["--output", "\(folder)/run", "--json"])
            #expect(try again.json()["loss"] == json["loss"])
        }
    }

    @Test func aKilledRunEndsWithTheSameBytes() throws {
        try withRun { folder, arguments in
            #expect(try CommandRun.run(arguments + ["--output", "\(folder)/whole"]).status == 0)
            let victim = try CommandRun(arguments + ["--output", "\(folder)/killed"])
            // Somewhere after its first checkpoint.
            for _ in 0..<600 where access("\(folder)/killed/checkpoints/step-000002/state.json", F_OK) != 0 {
                usleep(20_000)
            }
            victim.signal(SIGKILL)
            _ = try victim.ending(seconds: 30)
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/killed"])
            #expect(ending.status == 0, "\(ending.errors)")
            let files = ["model/model.safetensors", "checkpoints/step-000012/optimizer.safetensors"]
            for file in files {
                let bytes = TinyModel.contents("\(folder)/whole/\(file)")
                #expect(!bytes.isEmpty && bytes == TinyModel.contents("\(folder)/killed/\(file)"), "\(file)")
            }
        }
    }

    @Test func wrongInputIsOneLine() throws {
        try withRun { folder, arguments in
            func error(_ more: [String]) throws -> String {
                let ending = try CommandRun.run(arguments + ["--output", "\(folder)/run"] + more)
                #expect(ending.status != 0 && ending.errorLines.count == 1, "\(ending.errors)")
                return ending.errors
            }
            try TemporaryFolder.write(Array(#"{"stepz": 4}"#.utf8), to: "\(folder)/wrong.json")
            #expect(
                try error(["--recipe", "\(folder)/wrong.json"]).contains(
                    "wrong.json:1: stepz: there is no such key; there are steps"))
            #expect(try error(["--heads", "3"]).contains("a width of 16 does not divide by 3 heads"))
            try TemporaryFolder.write(Array("to".utf8), to: "\(folder)/short.txt")
            #expect(try error(["--text", "\(folder)/short.txt"]).hasPrefix("error: "))
            #expect(try CommandRun.run(arguments + ["--output", "\(folder)/run"]).status == 0)
            #expect(try error(["--layers", "2"]).contains("its model.layers is 1, not 2"))
        }
    }

    @Test func sequencesOverTheContext() throws {
        try withRun { folder, _ in
            let ending = try CommandRun.run([
                "finetune", "--model", TinyModel.gguf, "--text", "\(folder)/text.txt", "--length", "129",
                "--output",
                "\(folder)/run",
            ])
            #expect(ending.status == 1)
            #expect(ending.errors == "error: length is 129; expected the model's context, 128, or less\n")
        }
    }

    @Test func anAdapterIsTrainedAndMerged() throws {
        try withRun { folder, _ in
            let tuned = try CommandRun.run([
                "finetune", "--model", TinyModel.gguf, "--text", "\(folder)/text.txt", "--recipe",
                "\(folder)/recipe.json", "--steps", "8", "--learning-rate", "0.01", "--adapter-rank", "2",
                "--output",
                "\(folder)/tuned", "--quiet", "--json",
            ])
            #expect(tuned.status == 0, "\(tuned.errors)")
            #expect(try tuned.json()["path"]?.string == "\(folder)/tuned/adapter")
            let merged = try CommandRun.run([
                "merge", "--model", TinyModel.gguf, "--adapter", "\(folder)/tuned/adapter", "--output",
                "\(folder)/merged", "--json",
            ])
            #expect(merged.status == 0, "\(merged.errors)")
            let made = try CommandRun.run([
                "generate", "--model", "\(folder)/merged", "--prompt", "to be", "--max-tokens", "4", "--raw",
                "--quiet",
            ])
            #expect(made.status == 0, "\(made.errors)")
        }
    }
}
