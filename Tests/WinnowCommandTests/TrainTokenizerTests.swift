import Glibc
import Testing
import WinnowIO
import WinnowJSON
import WinnowTestKit
import WinnowText

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct TrainTokenizerTests {
    private let text = String(
        repeating: "the cat and the hat sat on the mat, and that was that.\n", count: 20)

    private func train(_ folder: String, _ arguments: String...) throws -> CommandRun.Ending {
        try CommandRun.run(
            ["train-tokenizer", "--vocabulary-size", "270", "--output", "\(folder)/out"] + arguments)
    }

    @Test func writesAFolderThatOpens() throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array(text.utf8), to: "\(folder)/a.txt")
            try TemporaryFolder.write(
                Array(
                    #"{"messages": [{"role": "user", "content": "the hat"}, {"role": "assistant", "content": "that"}]}"#
                        .utf8),
                to: "\(folder)/b.jsonl")
            let ending = try train(
                folder, "--text", "\(folder)/a.txt", "--text", "\(folder)/b.jsonl", "--json")
            #expect(ending.status == 0 && ending.errors.isEmpty, "\(ending.errors)")
            let json = try ending.json()
            #expect(
                Set(json.object?.keys ?? []) == [
                    "path", "bytes", "vocabularySize", "merges", "words", "textBytes", "seconds",
                ])
            #expect(json["vocabularySize"] == 270 && json["merges"] == 13)
            #expect(json["textBytes"]?.integer == text.utf8.count + 11)
            let tokenizer = try Tokenizer(TokenizerFolder.read("\(folder)/out"))
            #expect(tokenizer.decode(tokenizer.encode(text)) == text)
            #expect(tokenizer.encode(" the").count == 1)
            let said = try CommandRun.run(["tokenize", "--model", "\(folder)/out", "--text", " the", "--json"])
            #expect(try said.json()["pieces"] == ["Ġthe"])
            // A second time only on request.
            let again = try train(folder, "--text", "\(folder)/a.txt")
            #expect(again.status == 1 && again.errors.contains("--overwrite"), "\(again.errors)")
            let replaced = try train(folder, "--text", "\(folder)/a.txt", "--overwrite")
            #expect(
                replaced.status == 0 && replaced.output.hasPrefix("\(folder)/out: 270 tokens from 1"),
                "\(replaced.output)")
        }
    }

    @Test func whatIsWrongIsSaid() throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write([], to: "\(folder)/empty.txt")
            let empty = try train(folder, "--text", "\(folder)/empty.txt")
            #expect(empty.status == 1 && empty.errors == "error: \(folder)/empty.txt holds no text\n")
            #expect(access("\(folder)/out", F_OK) != 0)
            let unknown = try train(folder, "--text", "\(folder)/empty.txt", "--pre-tokenizer", "gpt-9")
            #expect(unknown.status == 2 && unknown.errors.contains("gpt-9"), "\(unknown.errors)")
            let small = try CommandRun.run([
                "train-tokenizer", "--vocabulary-size", "10", "--output", "\(folder)/out", "--text",
                "\(folder)/a",
            ])
            #expect(
                small.status == 2
                    && small.errors.hasPrefix(
                        "error: a vocabulary of 10 is too small: special tokens and bytes alone are 257;"),
                "\(small.errors)")
        }
    }

    @Test func aTextWithTooFewPairsIsSaid() throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array("abc abc".utf8), to: "\(folder)/a.txt")
            let ending = try train(folder, "--text", "\(folder)/a.txt")
            #expect(ending.status == 0)
            #expect(ending.errors == "the text has only 259 tokens with pairs that occur 2 times\n")
        }
    }
}
