import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct WhyTests {
    private let small = [
        "why", TinyModel.gguf, "--prompt-tokens", "16", "--generate-tokens", "4", "--repeats", "1",
        "--threads", "1",
    ]

    @Test func saysWhatBoundEachPart() throws {
        try TemporaryFolder.with { folder in
            let json = try CommandRun.run(small + ["--json", "--page", "\(folder)/why.html"]).json()
            #expect(
                Set(json.object?.keys ?? []) == [
                    "threads", "isa", "activations", "bytesPerToken", "decode", "prefill", "layers",
                ])
            // Two blocks of four parts.
            let layers = try #require(json["layers"]?.array)
            #expect(layers.count == 8)
            #expect(Set(layers.compactMap { $0["block"]?.integer }) == [0, 1])
            for phase in ["decode", "prefill"] {
                let roles = try #require(json[phase]?["roles"]?.object)
                let sum = roles.pairs.compactMap { $0.value["seconds"]?.number }.reduce(0, +)
                let all = try #require(json[phase]?["seconds"]?.number)
                #expect(all > 0 && abs(sum - all) < all * 1e-9)
                #expect(json[phase]?["bandwidth"]?.number ?? 0 > 0)
                for role in roles.pairs {
                    #expect(
                        ["memory", "arithmetic", "overhead"].contains(role.value["bound"]?.string),
                        "\(role.key)")
                }
            }
            #expect(json["prefill"]?["tokens"]?.integer == 16)
            let page = String(decoding: TinyModel.contents("\(folder)/why.html"), as: UTF8.self)
            #expect(page.contains("under its roofs") && page.contains("prefill, block by block"))
            let text = try CommandRun.run(small + ["--layers"])
            #expect(text.status == 0 && text.output.contains("attention projections"))
            #expect(text.output.contains("prefill, 16 tokens in one step"))
        }
    }

    @Test func wrongUsage() throws {
        #expect(try CommandRun.run(["why"]).status == 2)
        #expect(try CommandRun.run(small + ["--prompt-tokens", "0"]).status == 2)
        let missing = try CommandRun.run(["why", "/nowhere/model.gguf"])
        #expect(missing.status == 1 && missing.errors.contains("/nowhere/model.gguf"))
    }
}
