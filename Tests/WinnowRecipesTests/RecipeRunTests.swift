import Testing
import WinnowCompress
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowTestKit
import WinnowTrain

@Suite struct RecipeRunTests {
    private static let text = (0..<900).map { "word\($0 % 61) and \($0 % 17) more" }.joined(separator: " ")

    private func run(
        _ yaml: String, _ loaded: LoadedModel, in folder: String, threads: Int = 2,
        progress: @escaping (RecipeProgress, CancellationFlag) -> Void = { _, _ in }
    ) throws -> RecipeRun.Result {
        try TemporaryFolder.write(Array(RecipeRunTests.text.utf8), to: "\(folder)/text.txt")
        let recipe = try RecipeDecoder().decode(
            Array(yaml.replacing("TEXT", with: "\(folder)/text.txt").utf8), file: "r.yaml")
        var run = RecipeRun(recipe, on: loaded, threads: threads)
        let flag = CancellationFlag()
        run.cancellation = flag
        run.workFolder = "\(folder)/run"
        run.standardTexts.calibration = TextSource(name: "words", bytes: Array(RecipeRunTests.text.utf8))
        run.progress = { progress($0, flag) }
        return try run.run()
    }

    private func loaded(_ name: String = "tied-q4_1.gguf") throws -> LoadedModel {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return try LoadedModel(opening: tests.joined(separator: "/") + "/Fixtures/tiny-llama/\(name)")
    }

    private func bytes(_ model: LanguageModel) throws -> [Float] {
        let pool = try KernelPool(threads: 1)
        return model.parameters.flatMap { parameter in
            switch parameter.value {
            case .matrix(let matrix): matrix.floats(on: pool)
            case .vector(let vector): vector.floats() ?? []
            }
        }
    }

    private static let phases = """
        calibration: {samples: 4, length: 64}
        evaluation: {text: TEXT, window: 64, max_windows: 3}
        phases:
          - {prune: wanda, sparsity: 0.5}
          - {finetune: TEXT, steps: 12, batch: 2, length: 32, learning_rate: 1e-3, teacher: given, checkpoint_every: 3}
          - {quantize: rtn, scheme: W4A16, group: 32}
        """

    @Test func zerosStayThroughTrainingAndQuantizing() throws {
        try TemporaryFolder.with { folder in
            let loaded = try loaded()
            let result = try run(RecipeRunTests.phases, loaded, in: folder)
            #expect(result.phases.map(\.formats) == [["masked-q4_1"], ["masked-q4_1"], ["masked-int4"]])
            #expect(
                result.phases[0].zeros <= result.phases[1].zeros
                    && result.phases[1].zeros <= result.phases[2].zeros)
            #expect(result.phases[0].sparsity >= 0.5 && result.phases[0].prunable == 61_440)
            // Twelve steps on the text that is scored must help.
            let (pruned, trained) = (result.phases[0].perplexity!, result.phases[1].perplexity!)
            #expect(trained.perplexity < pruned.perplexity * 0.95)
            #expect(result.before != nil && result.phases[1].training?["steps"]?.integer == 12)
            #expect(loaded.model.parameters.allSatisfy { $0.training == nil })
        }
    }

    @Test func aRunThatWasStoppedGoesOnToTheSameBits() throws {
        try TemporaryFolder.with { folder in
            let whole = try loaded()
            _ = try run(RecipeRunTests.phases, whole, in: folder)
            try TemporaryFolder.with { other in
                #expect(throws: ModelError.self) {
                    _ = try run(RecipeRunTests.phases, try loaded(), in: other) { progress, flag in
                        if progress.what == "training", progress.done == 7 { flag.cancel() }
                    }
                }
                let resumed = try loaded()
                var steps: [Int] = []
                _ = try run(RecipeRunTests.phases, resumed, in: other, threads: 1) { progress, _ in
                    if progress.what == "training" { steps.append(progress.done) }
                }
                #expect(steps == Array(8...12))
                #expect(try bytes(resumed.model) == bytes(whole.model))
            }
        }
    }

    /// What is dropped is gone from the model that is written, and later phases work on what is left.
    @Test(arguments: ["neurons", "layers"])
    func droppedStructuresAreGone(_ structure: String) throws {
        try TemporaryFolder.with { folder in
            let loaded = try loaded()
            let result = try run(
                """
                calibration: {samples: 4, length: 64}
                evaluation: {text: TEXT, window: 64, max_windows: 2}
                phases:
                  - {drop: \(structure), fraction: 0.5}
                  - {finetune: TEXT, steps: 2, batch: 1, length: 32}
                  - {quantize: rtn, scheme: W8A16}
                """, loaded, in: folder)
            let (before, after) = (loaded.model.configuration, result.loaded.model.configuration)
            if structure == "layers" {
                #expect(after.layers == before.layers / 2)
            } else {
                #expect(
                    after.feedForwardWidth < before.feedForwardWidth && after.feedForwardWidth % 32 == 0
                        && after.layers == before.layers)
            }
            let drop = try #require(result.phases[0].structure)
            #expect(result.phases[0].prunable == drop.weights && drop.weights < drop.weightsBefore)
            #expect(
                result.phases[2].prunable == drop.weights
                    && result.phases[2].formats.allSatisfy({ $0.hasSuffix("int8") }))
            #expect(result.phases.allSatisfy { ($0.perplexity?.perplexity ?? .nan).isFinite })
            #expect(result.phases[0].json(layers: true)["structure"]?.string == structure)
            let path = "\(folder)/out"
            try result.loaded.write(to: path, record: JSONObject([("winnow", "test")]))
            let again = try LoadedModel(opening: path)
            #expect(again.model.configuration.layers == after.layers)
            #expect(
                PrunableLayers(again.model).weightCount == drop.weights
                    && again.model.byteCount == result.loaded.model.byteCount)
        }
    }

    @Test func profilesAreFollowed() throws {
        try TemporaryFolder.with { folder in
            let first = try loaded()
            _ = try run(
                "phases: [{prune: magnitude, sparsity: 0.4, allocation: erk}]", first, in: folder)
            try first.write(to: "\(folder)/erk", record: JSONObject([("winnow", "test")]))
            let pool = try KernelPool(threads: 1)
            let wanted = PrunableLayers(first.model).sparsities(on: pool)
            let second = try loaded()
            _ = try run(
                "{calibration: {length: 64, samples: 4}, phases: [{prune: wanda, sparsity: 0.4, allocation: profile, profile: FOLDER}]}"
                    .replacing("FOLDER", with: "\(folder)/erk"), second, in: folder)
            let shares = PrunableLayers(second.model).sparsities(on: pool)
            #expect(Set(wanted.values.map { ($0 * 50).rounded() }).count > 1)
            for (name, share) in wanted { #expect(abs(shares[name]! - share) < 0.02, "\(name)") }
            let other = try loaded()
            #expect(throws: RecipeRunError.noProfile(path: "\(folder)/gone")) {
                _ = try run(
                    "phases: [{prune: wanda, allocation: profile, profile: FOLDER}]"
                        .replacing("FOLDER", with: "\(folder)/gone"), other, in: folder)
            }
        }
    }

    @Test func rulesNameEachLayerWithoutRunning() throws {
        let recipe = try RecipeDecoder().decode(
            Array("phases: [{prune: magnitude, targets: down_proj}, {quantize: rtn, scheme: W8A16}]".utf8),
            file: "r")
        let rules = try RecipeRun(recipe, on: loaded(), threads: 1).layerRules()
        #expect(rules[0].layers.map(\.name) == (0..<2).map { "model.layers.\($0).mlp.down_proj.weight" })
        #expect(rules[0].layers.allSatisfy { $0.from == "q4_1" && $0.to == "masked-q4_1" })
        let second = Set(rules[1].layers.map { "\($0.from) \($0.to)" })
        #expect(rules[1].layers.count == 14 && second == ["q4_1 int8", "masked-q4_1 masked-int8"])
    }

    @Test func aTextThatIsMissingIsNamedBeforeAnythingIsDone() throws {
        try TemporaryFolder.with { folder in
            let loaded = try loaded()
            #expect(throws: RecipeRunError.noFile(path: "gone.txt")) {
                _ = try run("phases: [{prune: magnitude}, {finetune: gone.txt}]", loaded, in: folder)
            }
            #expect(loaded.model.parameters.allSatisfy { $0.version == 0 })
        }
    }
}
