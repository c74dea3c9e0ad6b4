import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct ConvertTests {
    private func convert(_ output: String, _ arguments: String...) throws -> CommandRun.Ending {
        try CommandRun.run(["convert", "--model", TinyModel.gguf, "--output", output] + arguments)
    }

    @Test func saysBytesBeforeAndAfter() throws {
        try TemporaryFolder.with { folder in
            let json = try convert("\(folder)/a", "--to", "hf", "--json").json()
            #expect(Set(json.object?.keys ?? []) == ["path", "bytes", "bytesBefore"])
            #expect(json["bytesBefore"]?.integer == TinyModel.contents(TinyModel.gguf).count)
            #expect(json["bytes"]?.integer ?? 0 > json["bytesBefore"]?.integer ?? .max)
            let text = try convert("\(folder)/b", "--to", "packed", "--format", "masked-q4_1")
            #expect(text.status == 0 && text.errors.isEmpty, "\(text.errors)")
            #expect(text.output.wholeMatch(of: /.*\/b: \S+ KiB, was \S+ KiB\n/) != nil, "\(text.output)")
        }
    }

    @Test func aMemoryLimitIsHonoured() throws {
        try TemporaryFolder.with { folder in
            let ending = try convert("\(folder)/out", "--to", "hf", "--memory-limit", "100KiB")
            #expect(ending.status == 1 && ending.output.isEmpty)
            #expect(
                ending.errors.wholeMatch(
                    of:
                        /error: this needs \S+ MiB, more than the limit of 100 KiB; most of it \(\S+ MiB\) is .*\n/
                )
                    != nil, "\(ending.errors)")
            #expect(access("\(folder)/out", F_OK) != 0)
            let said = try convert("\(folder)/out", "--to", "hf", "--log-level", "debug")
            #expect(said.status == 0)
            #expect(said.errors.contains("predicted peak memory "), "\(said.errors)")
        }
    }

    @Test func dryRunSaysWhatItWouldDo() throws {
        try TemporaryFolder.with { folder in
            let arguments = ["--to", "packed", "--format", "masked-int8", "--dry-run"]
            let ending = try CommandRun.run(
                ["convert", "--model", TinyModel.gguf, "--output", "\(folder)/out", "--json"] + arguments)
            let json = try ending.json()
            let plan = try #require(json["plan"]?.array)
            #expect(plan.count == 15)
            #expect(plan.first { $0["name"] == "model.embed_tokens.weight" }?["to"] == "int8")
            #expect(plan.filter { $0["to"] == "masked-int8" }.count == 14)
            let parts = json["memory"]?.object?.pairs.compactMap { $0.value.integer }.reduce(0, +)
            #expect(json["predictedPeakBytes"]?.integer == parts)
            #expect(access("\(folder)/out", F_OK) != 0)
        }
    }
}
