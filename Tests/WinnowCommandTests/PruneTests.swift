import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct PruneTests {
    private static let keys: Set<String> = [
        "path", "format", "sparsity", "zeros", "prunable", "bytes", "bytesBefore", "bitsPerWeight", "seconds",
        "peakBytes",
    ]

    private func prune(_ output: String, _ arguments: String...) throws -> CommandRun.Ending {
        try CommandRun.run(["prune", "--model", TinyModel.gguf, "--output", output, "--json"] + arguments)
    }

    @Test func wandaWritesAModelWithItsRecord() throws {
        try TemporaryFolder.with { folder in
            let text = "\(folder)/text.txt"
            try TemporaryFolder.write(
                Array(String(repeating: "The winnower winnows the wheat. ", count: 200).utf8), to: text)
            let ending = try prune(
                "\(folder)/out", "--method", "wanda", "--pattern", "2:4", "--length", "64", "--samples", "4",
                "--calibration", text, "--eval", text, "--eval-windows", "1")
            // A context of 128 has no window of 512 to score.
            #expect(ending.status == 1)
            #expect(
                ending.errors.contains("a window of 512 tokens is longer than the model's context of 128"))
            #expect(!exists("\(folder)/out"))

            let good = try prune(
                "\(folder)/out", "--method", "wanda", "--pattern", "2:4", "--length", "64", "--samples", "4",
                "--calibration", text)
            #expect(good.status == 0, "\(good.errors)")
            #expect(good.errors.contains("predicted peak memory "))
            let json = try good.json()
            #expect(Set(json.object?.keys ?? []) == PruneTests.keys)
            #expect(json["format"] == "masked-q4_1")
            let zeros = try #require(json["zeros"]?.integer)
            let prunable = try #require(json["prunable"]?.integer)
            #expect(zeros >= prunable / 2)

            let inspected = try CommandRun.run(["inspect", "--model", "\(folder)/out", "--json"]).json()
            #expect(inspected["zeros"]?.integer == zeros)
            #expect(inspected["prunable"]?.integer == prunable)
            #expect(inspected["bytes"]?.integer == json["bytes"]?.integer)

            let record = try JSONValue(parsing: TinyModel.contents("\(folder)/out/winnow.json"))
            #expect(record["method"] == "wanda")
            #expect(record["settings"]?["pattern"] == "2:4")
            #expect(record["calibration"]?["windows"] == 4)
            #expect(record["calibration"]?["sha256"]?.string?.count == 64)
            #expect(record["calibration"]?["activations"] == "exact")
            let layers = try #require(record["result"]?["layers"]?.array)
            #expect(layers.count == 14)
            #expect(layers.allSatisfy { $0["maskSHA256"]?.string?.count == 64 })
        }
    }

    @Test func calibratesOnTheTextInsideWithoutAnother() throws {
        try TemporaryFolder.with { folder in
            let ending = try prune(
                "\(folder)/out", "--method", "wanda", "--length", "32", "--samples", "2", "--store", "int8")
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(try ending.json()["format"] == "masked-int8")
        }
    }

    @Test func dryRunWritesNothing() throws {
        try TemporaryFolder.with { folder in
            let ending = try prune("\(folder)/out", "--method", "magnitude", "--sparsity", "0.3", "--dry-run")
            #expect(ending.status == 0)
            let json = try ending.json()
            #expect(json["plan"]?.array?.count == 14)
            #expect(json["plan"]?.array?.first?["rule"] == "magnitude, 0.3 by matrix")
            #expect(json["plan"]?.array?.first?["to"] == "masked-q4_1")
            let parts = json["memory"]?.object?.pairs.compactMap { $0.value.integer }.reduce(0, +)
            #expect(json["predictedPeakBytes"]?.integer == parts)
            #expect(!exists("\(folder)/out"))
        }
    }

    @Test func wrongUsageAndWorkThatFailsAreToldApart() throws {
        try TemporaryFolder.with { folder in
            for (arguments, message) in [
                (["--method", "sparse"], "no method 'sparse'; there are magnitude, wanda, sparsegpt, dsnot"),
                (["--method", "magnitude", "--sparsity", "1"], "sparsity is 1.0"),
                (["--method", "magnitude", "--sparsity", "0.5", "--pattern", "2:4"], "leave --sparsity out"),
                (["--method", "wanda", "--scope", "global"], "wanda cannot choose over the whole model"),
                (
                    ["--method", "magnitude", "--store", "int2"],
                    "--store is one of source, int8, block4-int8, int4, q8_0, f16"
                ),
            ] {
                let ending = try CommandRun.run(
                    ["prune", "--model", TinyModel.gguf, "--output", "\(folder)/out"] + arguments)
                #expect(ending.status == 2)
                #expect(ending.errorLines.count == 1 && ending.errors.contains(message), "\(ending.errors)")
            }
            let long = try prune("\(folder)/out", "--method", "wanda")
            #expect(long.status == 1)
            #expect(
                long.errors.contains(
                    "calibration windows of 512 tokens are longer than the model's context of 128"))
            let tight = try prune("\(folder)/out", "--method", "magnitude", "--memory-limit", "1MiB")
            #expect(tight.status == 1 && tight.errors.contains("more than the limit of 1.00 MiB"))
            #expect(try prune("\(folder)/out", "--method", "magnitude").status == 0)
            let again = try prune("\(folder)/out", "--method", "magnitude")
            #expect(again.status == 1)
            #expect(again.errors.contains("\(folder)/out exists; choose another name or pass --overwrite"))
            #expect(try prune("\(folder)/out", "--method", "magnitude", "--overwrite").status == 0)
        }
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
