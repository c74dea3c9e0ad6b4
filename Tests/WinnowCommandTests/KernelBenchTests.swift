import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct KernelBenchTests {
    private let small = [
        "bench", "--kernels", "--formats", "q4_0,masked-int8", "--shapes", "64x64", "--rows", "1,8", "--isa",
        "scalar", "--repetitions", "1", "--working-set", "64KiB", "--threads", "1",
    ]

    @Test func measuresFormatsAgainstTheRoofs() throws {
        try TemporaryFolder.with { folder in
            let ending = try CommandRun.run(small + ["--json", "--page", "\(folder)/roofs.html"])
            let json = try ending.json()
            #expect(
                Set(json.object?.keys ?? []) == [
                    "threads", "activations", "repetitions", "sparsity", "workingSetBytes", "bandwidth",
                    "peaks",
                    "kernels",
                ])
            let kernels = try #require(json["kernels"]?.array)
            #expect(kernels.count == 4)
            #expect(kernels.allSatisfy { $0["isa"] == "scalar" && $0["seconds"]?.number ?? 0 > 0 })
            #expect(kernels[0]["operations"]?.number == Double(2 * 64 * 64))
            #expect(json["peaks"]?.array?.map { $0["arithmetic"]?.string } == ["f32", "int8"])
            let page = String(decoding: TinyModel.contents("\(folder)/roofs.html"), as: UTF8.self)
            #expect(page.contains("<svg") && page.contains("Kernels under their roofs"))
            let figures = try JSONValue(
                parsing: String(decoding: TinyModel.contents("\(folder)/roofs.json"), as: UTF8.self))
            #expect(figures["kernels"]?.array?.count == 4)
            let again = try CommandRun.run(small + ["--page", "\(folder)/roofs.html"])
            #expect(again.status == 1 && again.errors.contains("--overwrite"))
            let text = try CommandRun.run(small + ["--page", "\(folder)/roofs.html", "--overwrite"])
            #expect(text.status == 0 && text.output.contains("decode, 1 row: share of each roof"))
        }
    }

    @Test(arguments: [
        (["--formats", "q9_9"], "--formats takes"), (["--shapes", "64"], "--shapes takes"),
        (["--shapes", "64x33", "--formats", "q4_0"], "multiples of 32"), (["--rows", "0"], "--rows takes"),
        (["--repetitions", "0"], "at least 1"), (["--synthetic", "llama-1b"], "needs no model"),
    ])
    func wrongUsageSaysWhat(_ arguments: [String], _ expected: String) throws {
        let ending = try CommandRun.run(["bench", "--kernels"] + arguments)
        #expect(ending.status == 2 && ending.errors.contains(expected), "\(ending.errors)")
    }

    @Test func itsOptionsNeedTheFlag() throws {
        let ending = try CommandRun.run(["bench", "--model", TinyModel.gguf, "--shapes", "64x64"])
        #expect(ending.status == 2 && ending.errors.contains("--shapes is for --kernels"), "\(ending.errors)")
    }
}
