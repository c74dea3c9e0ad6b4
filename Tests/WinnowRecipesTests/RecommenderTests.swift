import Testing
import WinnowCompress
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowTestKit

@Suite struct RecommenderTests {
    private static let text = (0..<900).map { "word\($0 % 61) and \($0 % 17) more" }.joined(separator: " ")

    private func loaded() throws -> LoadedModel {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return try LoadedModel(opening: tests.joined(separator: "/") + "/Fixtures/tiny-llama/tied-q4_1.gguf")
    }

    private func recommender(_ target: RecommendationTarget, _ loaded: LoadedModel) throws -> Recommender {
        let text = TextSource(name: "words", bytes: Array(RecommenderTests.text.utf8))
        var recommender = Recommender(loaded, target: target, texts: (text, text), threads: 1)
        recommender.space = RecommendationSpace(
            try [
                "{quantize: rtn, scheme: W8A16}", "{prune: magnitude, sparsity: 0.5}",
                "{prune: magnitude, sparsity: 0.9}",
            ]
            .map {
                let recipe = try RecipeDecoder().decode(Array("phases: [\($0)]".utf8), file: "space")
                return RecommendationSpace.Candidate($0, recipe)
            })
        recommender.quick = .init(samples: 2, windows: 1)
        recommender.full = .init(samples: 4, windows: 2)
        return recommender
    }

    @Test func theStandardSpaceCoversQuantizingPruningAndBoth() {
        let phases = RecommendationSpace.standard.candidates.flatMap(\.recipe.phases)
        #expect(phases.count >= 10)
        let compressions = phases.compactMap { phase -> CompressionPhase? in
            guard case .compress(let compression) = phase else { return nil }
            return compression
        }
        #expect(compressions.contains { $0.purpose == .quantization })
        #expect(compressions.contains { $0.purpose == .pruning && $0.store == .source })
        #expect(compressions.contains { $0.purpose == .pruning && $0.store != .source })
    }

    @Test func sizesArePredictedCloseToWhatIsMade() throws {
        let loaded = try loaded()
        let snapshot = WeightSnapshot(loaded.model)
        for candidate in try recommender(.init(bytes: 1), loaded).space.candidates {
            let run = RecipeRun(candidate.recipe, on: loaded, threads: 1)
            let predicted = try run.predictedBytes()
            _ = try run.run()
            let made = loaded.model.byteCount
            #expect(abs(predicted - made) < made / 50, "\(candidate.name): \(predicted), made \(made)")
            snapshot.restore()
        }
    }

    @Test func whatIsRecommendedHoldsInTheWrittenFolder() throws {
        try TemporaryFolder.with { folder in
            let loaded = try loaded()
            // Between the sizes of the two masks.
            let predicted = try recommender(.init(bytes: 1), loaded).trials().map(\.predictedBytes)
            let bytes = (predicted[2] + predicted[3]) / 2
            // The fixture's folder has more beside its weights than its GGUF.
            var target = RecommendationTarget(bytes: bytes + 40_000)
            let found = try recommender(target, loaded).recommend(into: "\(folder)/out", overwrite: false)
            // Each trial has the size of what it made, not that of the model as given.
            for trial in found.trials {
                guard let quick = trial.quick else { continue }
                #expect(abs(quick.bytes - trial.predictedBytes) < trial.predictedBytes / 50, "\(trial.name)")
            }
            #expect(found.trials[3].quick.map { $0.bytes < loaded.checkpoint.fileBytes } == true)
            let chosen = try #require(found.chosen)
            let figures = try #require(found.trials[chosen].verified)
            #expect(figures.bytes <= bytes + 40_000 && found.distance == 0)
            if chosen > 0 {
                let written = try LoadedModel(opening: "\(folder)/out")
                #expect(written.checkpoint.fileBytes == figures.bytes)
                #expect(FilePath.kind("\(folder)/out/winnow-recipe.yaml") == .file)
            }
            #expect(loaded.model.parameters.allSatisfy { $0.matrixFormat != "masked-q4_1" })

            // Nothing is that small: all are ruled out by size, but for the model as given, which says how far.
            target.bytes = 1000
            let none = try recommender(target, loaded).recommend(into: "\(folder)/none", overwrite: false)
            #expect(none.chosen == nil && none.nearest == 0)
            #expect(none.distance == Double(loaded.checkpoint.fileBytes) / 1000 - 1)
            #expect(none.trials.dropFirst().allSatisfy { $0.quick == nil })
            #expect(!FilePath.exists("\(folder)/none"))
        }
    }

    @Test func qualityBoundsChooseTheSmallest() {
        func figures(_ perplexity: Double, _ bytes: Int, _ speed: Double) -> Recommendation.Figures {
            .init(
                perplexity: perplexity, standardError: 0, bytes: bytes, tokensPerSecond: speed, sparsity: 0,
                bitsPerWeight: 4)
        }
        let given = figures(10, 100, 50)
        let target = RecommendationTarget(perplexityIncrease: 0.1)
        #expect(target.miss(figures(11, 50, 1), given: given) == 0)
        #expect(abs(target.miss(figures(12.1, 50, 1), given: given) - 0.1) < 1e-12)
        #expect(RecommendationTarget(tokensPerSecond: 100).miss(given, given: given) == 0.5)
        let both = RecommendationTarget(bytes: 80, perplexityIncrease: 0.1)
        #expect(both.miss(figures(10, 100, 1), given: given) == 0.25)
    }
}

extension Parameter {
    fileprivate var matrixFormat: String? {
        guard case .matrix(let matrix) = value else { return nil }
        return matrix.format.name
    }
}
