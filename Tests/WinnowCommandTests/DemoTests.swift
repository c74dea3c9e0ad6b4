import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct DemoTests {
    private static let quick = [
        "--model", TinyModel.gguf, "--windows", "2", "--samples", "2", "--rounds", "1", "--threads", "2",
    ]

    @Test func theWholeLoopRunsOnTheTinyModel() throws {
        try TemporaryFolder.with { folder in
            let place = folder + "/demo"
            let arguments = ["demo", "--output", place, "--json"] + DemoTests.quick
            let ending = try CommandRun.run(arguments)
            #expect(ending.status == 0, "\(ending.errors)")
            let json = try ending.json()
            let rows = try #require(json["rows"]?.array)
            #expect(
                rows.map { $0["name"]?.string ?? "" } == [
                    "as given", "Wanda 30 %", "Wanda 50 %", "Wanda 50 % + int4", "Wanda 2:4",
                    "magnitude 50 %",
                ])
            for row in rows {
                for key in [
                    "perplexity", "standardError", "decodeTokensPerSecond", "prefillTokensPerSecond",
                    "bitsPerWeight",
                ] {
                    #expect(row[key]?.number ?? 0 > 0, "\(key) of \(row)")
                }
                #expect(row["activations"] == "fast")
            }
            // Half of every row of 64 and 96 columns is a whole number; what rounds to zero comes on top.
            #expect(rows[0]["sparsity"]?.number ?? 1 < 0.1)
            for index in 2...5 { #expect((0.5..<0.6).contains(rows[index]["sparsity"]?.number ?? 0)) }
            // The codes of half of the weights, a bit for each, and the scales: 4.0 of 5.0 bits, and rows' offsets.
            #expect(rows[0]["bitsPerWeight"]?.number == 5)
            #expect((4.0..<4.6).contains(rows[2]["bitsPerWeight"]?.number ?? 0))
            #expect(rows[4]["remark"] == "without retraining")
            #expect(json["verdict"]?.string?.contains("the file as given") == true)
            #expect(json["text"]?["scoring"]?["windows"]?.integer == 2)
            #expect(json["text"]?["calibration"]?["sha256"]?.string?.count == 64)

            let page = String(decoding: TinyModel.contents(place + "/report.html"), as: UTF8.self)
            #expect(page.contains("Wanda 2:4 (without retraining)") && page.hasSuffix("</html>\n"))
            let saved = try JSONValue(parsing: TinyModel.contents(place + "/report.json"))
            #expect(saved == json)
            #expect(access(place + "/models", F_OK) != 0)

            let again = try CommandRun.run(arguments)
            #expect(again.status == 1 && again.errors.contains("--overwrite"))
            let kept = try CommandRun.run(arguments + ["--overwrite", "--keep-models", "--quiet"])
            #expect(kept.status == 0 && kept.errors.isEmpty)
            // The same figures from the same seed; the models are there and open.
            #expect(try kept.json()["rows"]?.array?.map { $0["perplexity"] } == rows.map { $0["perplexity"] })
            let inspected = try CommandRun.run(["inspect", "--json", "--model", place + "/models/wanda-2-4"])
            let layers = try #require(try inspected.json()["layers"]?.array)
            #expect(layers.filter { $0["prunable"] == true }.allSatisfy { $0["nOfM"] == "2:4" })
        }
    }

    @Test func controlCLeavesNothing() throws {
        try TemporaryFolder.with { folder in
            let run = try CommandRun(
                [
                    "demo", "--output", folder + "/demo", "--rounds", "1000000", "--model", TinyModel.gguf,
                    "--windows", "1", "--samples", "1",
                ])
            usleep(3_000_000)
            run.signal(SIGINT)
            #expect(try run.ending(seconds: 30).status == 130)
            #expect(rmdir(folder) == 0, "something is left in the folder")
            mkdir(folder, 0o700)
        }
    }

    @Test func otherFoldersAreLeftAlone() throws {
        try TemporaryFolder.with { folder in
            mkdir(folder + "/demo", 0o700)
            try TemporaryFolder.write([1], to: folder + "/demo/thesis.txt")
            let ending = try CommandRun.run(
                ["demo", "--output", folder + "/demo", "--overwrite"] + DemoTests.quick)
            #expect(ending.status == 1 && ending.errors.contains("did not write"))
            #expect(TinyModel.contents(folder + "/demo/thesis.txt") == [1])
        }
    }
}
