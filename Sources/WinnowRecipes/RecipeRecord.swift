import WinnowJSON

/// What is kept beside a model that a recipe made: for programs as `winnow.json`, and as a recipe that makes it again.
public struct RecipeRecord {
    public let recipe: Recipe
    public let result: RecipeRun.Result
    /// What the recipe was followed on.
    public let model: String
    /// Of Winnow.
    public let version: String

    public init(_ recipe: Recipe, _ result: RecipeRun.Result, model: String, version: String) {
        self.recipe = recipe
        self.result = result
        self.model = model
        self.version = version
    }

    /// The name of ``yaml``'s file.
    public static let recipeName = "winnow-recipe.yaml"

    /// The recipe with its defaults, the texts' hashes, and what each phase made.
    public var json: JSONObject {
        var record = JSONObject([
            ("winnow", .string(version)), ("recipe", .object(recipe.json)), ("model", .string(model)),
        ])
        if let windows = result.calibration {
            record["calibration"] = [
                "source": .string(windows.source), "sha256": .string(windows.sha256),
                "windows": .integer(Int64(windows.windows.count)), "length": .integer(Int64(windows.length)),
                "activations": .string(recipe.calibration.activations.rawValue),
            ]
        }
        if let text = result.scoring, let before = result.before {
            record["evaluation"] = [
                "source": .string(text.name), "before": .object(before.json(textSha256: text.sha256)),
            ]
        }
        record["phases"] = .array(result.phases.map { .object($0.json(layers: true)) })
        return record
    }

    /// The recipe with all defaults written out, under comments that say what it was followed on and what it made.
    public var yaml: String {
        var lines = ["Winnow \(version), on \(model)"]
        if let windows = result.calibration {
            lines.append(
                "calibrated on \(windows.source) (sha256 \(windows.sha256)), \(windows.windows.count) windows of "
                    + "\(windows.length)")
        }
        if let text = result.scoring, let before = result.before {
            lines.append("scored on \(text.name) (sha256 \(text.sha256)), \(before.scoredTokens) tokens")
            lines.append("as given: perplexity \(before.perplexity)")
        }
        for (index, phase) in result.phases.enumerated() {
            var line =
                "phase \(index), \(phase.summary): sparsity \(phase.sparsity), "
                + "\(phase.bitsPerWeight) bits a weight"
            if let perplexity = phase.perplexity { line += ", perplexity \(perplexity.perplexity)" }
            if let sum = phase.training?["textSha256"]?.string { line += ", text sha256 \(sum)" }
            lines.append(line)
        }
        let comments = lines.map { "# " + $0.replacing("\n", with: " ") + "\n" }.joined()
        return comments + JSONValue.object(recipe.json).yaml()
    }
}
