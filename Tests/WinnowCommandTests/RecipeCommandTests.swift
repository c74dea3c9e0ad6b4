import Testing
import WinnowJSON
import WinnowTestKit

/// Recipes by way of the command.
@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct RecipeCommandTests {
    private static let text = (0..<900).map { "word\($0 % 61) and \($0 % 17) more" }.joined(separator: " ")

    private func withRecipe(_ yaml: String, _ body: (String, [String]) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array(RecipeCommandTests.text.utf8), to: "\(folder)/text.txt")
            try TemporaryFolder.write(
                Array(yaml.replacing("TEXT", with: "\(folder)/text.txt").utf8), to: "\(folder)/recipe.yaml")
            try body(
                folder,
                [
                    "compress", "--model", TinyModel.gguf, "--recipe", "\(folder)/recipe.yaml", "--json",
                    "--quiet",
                ])
        }
    }

    private static let recipe = """
        calibration: {samples: 4, length: 64}
        evaluation: {text: TEXT, window: 64, max_windows: 2}
        phases:
          - {prune: sparsegpt, sparsity: 0.5, ignore: down_proj}
          - {finetune: TEXT, steps: 3, batch: 2, length: 32}
          - {quantize: rtn, scheme: W4A16, group: 32}
        """

    @Test func whatIsBesideTheModelMakesItAgain() throws {
        try withRecipe(RecipeCommandTests.recipe) { folder, arguments in
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/out"])
            #expect(ending.status == 0, "\(ending.errors)")
            let phases = try #require(try ending.json()["phases"]?.array)
            #expect(phases.count == 3 && phases[1]["training"]?["textSha256"]?.string?.count == 64)
            let recipe = String(
                decoding: TinyModel.contents("\(folder)/out/winnow-recipe.yaml"), as: UTF8.self)
            #expect(
                recipe.hasPrefix("# Winnow ") && recipe.contains("sha256") && recipe.contains("damping: 0.01")
            )
            let record = try JSONValue(parsing: TinyModel.contents("\(folder)/out/winnow.json"))
            #expect(record["recipe"]?["phases"]?.array?.count == 3)
            let again = try CommandRun.run([
                "compress", "--model", TinyModel.gguf, "--recipe", "\(folder)/out/winnow-recipe.yaml",
                "--quiet",
                "--output", "\(folder)/again",
            ])
            #expect(again.status == 0, "\(again.errors)")
            let weights = TinyModel.contents("\(folder)/out/model.safetensors")
            #expect(!weights.isEmpty && weights == TinyModel.contents("\(folder)/again/model.safetensors"))
        }
    }

    @Test func aDryRunSaysRulesMemoryAndTimeAndWritesNothing() throws {
        try withRecipe(RecipeCommandTests.recipe) { folder, arguments in
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/out", "--dry-run"])
            #expect(ending.status == 0, "\(ending.errors)")
            let json = try ending.json()
            #expect(json["predictedPeakBytes"]?.integer ?? 0 > 0)
            let phases = try #require(json["phases"]?.array)
            #expect(phases.allSatisfy { $0["predictedSeconds"]?.number ?? 0 > 0 })
            // 7 linears in each of 2 blocks, without down_proj.
            #expect(phases[0]["plan"]?.array?.count == 12 && phases[2]["plan"]?.array?.count == 14)
            #expect(phases[0]["plan"]?.array?.first?["rule"]?.string?.hasPrefix("sparsegpt, 0.5") == true)
            #expect(TinyModel.contents("\(folder)/out/config.json").isEmpty)
            let limited = try CommandRun.run(
                arguments + ["--output", "\(folder)/out", "--memory-limit", "1KiB"])
            #expect(limited.status == 1 && limited.errors.contains("more than the limit"))
        }
    }

    /// What is dropped is written smaller; a text shorter than asked for is said; memory is refused before any work.
    @Test func structuresAreDroppedByRecipes() throws {
        let recipe = """
            calibration: {text: TEXT, samples: 4000, length: 64}
            phases: [{drop: layers, fraction: 0.5}, {quantize: smoothquant, scheme: W8A8}]
            """
        try withRecipe(recipe) { folder, arguments in
            let tight = try CommandRun.run(
                arguments + ["--output", "\(folder)/out", "--memory-limit", "1KiB"])
            #expect(tight.status == 1 && tight.errors.contains("more than the limit of 1.00 KiB"))
            #expect(TinyModel.contents("\(folder)/out/config.json").isEmpty)
            let ending = try CommandRun.run(
                arguments.filter { $0 != "--quiet" } + ["--output", "\(folder)/out"])
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(ending.errors.contains("windows of 64, not 4000"), "\(ending.errors)")
            let phases = try #require(try ending.json()["phases"]?.array)
            #expect(phases[0]["structure"] == "layers" && phases[0]["kept"]?.array?.count == 1)
            #expect(phases[1]["format"] == "int8")
            let inspected = try CommandRun.run(["inspect", "--model", "\(folder)/out", "--json"]).json()
            #expect(inspected["prunable"]?.integer == phases[1]["prunable"]?.integer)
            let spoken = try CommandRun.run(
                [
                    "generate", "--model", "\(folder)/out", "--prompt", "a", "--max-tokens", "2", "--raw",
                    "--activations", "int8",
                ])
            #expect(spoken.status == 0, "\(spoken.errors)")
        }
    }

    @Test func aWrongKeyIsOneLineWithItsPlace() throws {
        try withRecipe("phases:\n  - prune: wanda\n    sparsty: 0.5\n") { folder, arguments in
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/out"])
            #expect(ending.status == 1 && ending.errorLines.count == 1)
            #expect(ending.errors.contains("recipe.yaml:3: phases[0].sparsty: there is no such key"))
        }
        try withRecipe("phases: [{prune: magnitude, targets: embed_tokens}]") { folder, arguments in
            let ending = try CommandRun.run(arguments + ["--output", "\(folder)/out"])
            #expect(ending.status == 1 && ending.errors.contains("only the linears of blocks"))
        }
    }

    @Test func recommendsForEachTarget() throws {
        try TemporaryFolder.with { folder in
            func recommend(_ arguments: [String]) throws -> CommandRun.Ending {
                try CommandRun.run(
                    [
                        "recommend", "--model", TinyModel.gguf, "--output", "\(folder)/out", "--samples", "4",
                        "--eval-windows", "2", "--json", "--quiet", "--overwrite",
                    ] + arguments)
            }
            #expect(try recommend([]).status == 2)
            let listed = try recommend(["--target-bytes", "1MiB", "--dry-run"])
            #expect(try listed.json()["candidates"]?.array?.count == 12)
            let small = try recommend(["--max-perplexity-increase", "1"])
            #expect(small.status == 0, "\(small.errors)")
            let found = try small.json()
            #expect(found["met"] == true && found["distance"]?.number == 0)
            let bound = (found["given"]?["perplexity"]?.number ?? 0) * 2
            #expect(found["figures"]?["perplexity"]?.number ?? .infinity <= bound)
            // A size that rules all out, so that none is run.
            let none = try recommend(["--target-tokens-per-second", "1e12", "--target-bytes", "1KiB"])
            #expect(none.status == 1)
            #expect(try none.json()["met"] == false && none.json()["distance"]?.number ?? 0 > 0.9)
            #expect(try none.json()["verdict"]?.string?.hasPrefix("No recipe meets the target") == true)
        }
    }
}
