import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowText

/// What experts see, beyond the logits that ``FamilyTests`` compares.
@Suite struct ExpertTests {
    /// Every token comes past as many experts as it goes to, and past the shared one once.
    @Test(arguments: [("mixtral", 2, false), ("qwen2-moe", 2, true), ("qwen3-moe", 3, false)])
    func expertsSeeTheTokensRoutedToThem(_ name: String, used: Int, isShared: Bool) throws {
        let model = try LanguageModel(FamilyFixture(name).checkpoint)
        let runner = try makeRunner(model, chunk: 64)
        let mixture = try #require(model.blocks[0].mixture)
        let (windows, length, width) = (3, 20, model.configuration.width)
        var hidden = (0..<windows * length * width).map { Float($0 * 31 % 97) / 50 - 1 }
        let before = hidden
        var seen: [TapPoint: Int] = [:]
        try hidden.withUnsafeMutableBufferPointer {
            try runner.runBlock(
                0, hidden: $0, windows: windows, length: length,
                observer: { seen[$0.point, default: 0] += $0.tokens }, keepsInput: true)
        }
        #expect(hidden == before)
        let tokens = windows * length
        let inputs = mixture.experts.indices.map { seen[.expertInput($0)] ?? 0 }
        #expect(inputs.reduce(0, +) == tokens * used)
        #expect(inputs == mixture.experts.indices.map { seen[.expertHidden($0)] ?? 0 })
        #expect(inputs.allSatisfy { $0 <= tokens })
        #expect(seen[.feedForwardInput] == (isShared ? tokens : nil))
        #expect(seen[.feedForwardHidden] == (isShared ? tokens : nil))
        #expect(seen[.attentionInput] == tokens)
    }

    /// A decoded token reads the experts that it goes to, not the others.
    @Test func bytesPerTokenLeaveOutOtherExperts() throws {
        let model = try LanguageModel(FamilyFixture("mixtral").checkpoint)
        var experts = 0
        for block in model.blocks {
            for expert in try #require(block.mixture).experts {
                expert.visit { experts += $0.matrix.byteCount }
            }
        }
        let rows = model.embedding.matrix.rows
        let table = model.embedding.matrix.byteCount
        #expect(model.bytesPerToken == model.byteCount - table + table / rows - experts / 2)
    }

    /// A walk that wants the first stages only does not run the others, and sees the same there.
    @Test(arguments: ["qwen2-moe", "qwen3", "stablelm-parallel", "olmo2", "bert"])
    func stagesEndWhereTheyAreAsked(_ name: String) throws {
        let model = try LanguageModel(Checkpoint.open("\(FamilyFixture.folder)/\(name)"))
        let runner = try makeRunner(model, chunk: 64)
        let width = model.configuration.width
        func observed(_ last: TapPoint?) throws -> [TapPoint: [Float]] {
            var hidden = (0..<24 * width).map { Float($0 * 37 % 89) / 45 - 1 }
            var seen: [TapPoint: [Float]] = [:]
            try hidden.withUnsafeMutableBufferPointer {
                try runner.runBlock(
                    0, hidden: $0, windows: 1, length: 24,
                    observer: { values in
                        let count = values.tokens * values.width
                        seen[values.point, default: []] += UnsafeBufferPointer(
                            start: values.base, count: count)
                    }, keepsInput: true, lastTap: last)
            }
            return seen
        }
        let all = try observed(nil)
        let stages = model.blocks[0].tapStages
        #expect(stages.count == 4 && Set(stages.joined()).isSubset(of: all.keys))
        for (index, stage) in stages.enumerated() {
            let seen = try observed(stage[0])
            for point in stages[...index].joined() { #expect(seen[point] == all[point], "\(point)") }
            guard name != "stablelm-parallel" else { continue }
            #expect(Set(seen.keys).isDisjoint(with: stages[(index + 1)...].joined()))
        }
    }

    @Test func whatATwinForPlainDecodersDoesNotKnowIsNamed() throws {
        func name(_ fixture: String) throws -> String? {
            try LanguageModel(Checkpoint.open("\(FamilyFixture.folder)/\(fixture)")).beyondPlainDecoder
        }
        for fixture in ["llama3", "gemma2", "gpt2", "opt", "starcoder2"] { #expect(try name(fixture) == nil) }
        #expect(try name("mixtral") == "a mixture of experts")
        #expect(try name("bert") == "an encoder")
        #expect(try name("layered") == "blocks that differ in shape")
        #expect(try name("phi3-partial") == "heads that turn in part")
    }
}
