import WinnowKit
import WinnowRecipes

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

// usage: OwnMethod MODEL TEXT OUTPUT
//
// Prunes MODEL by a recipe that names a method of this program, calibrated on TEXT, and writes it to OUTPUT.
let arguments = CommandLine.arguments
guard arguments.count == 4 else {
    print("usage: OwnMethod MODEL TEXT OUTPUT")
    exit(2)
}
let registry = MethodRegistry(
    entries: MethodRegistry.standard.entries + [.init(PoweredWanda.self, needsCalibration: true)])
let recipe = try RecipeDecoder(registry: registry).decode(
    Array(
        """
        calibration: {text: "\(arguments[2])", samples: 16, length: 64}
        phases:
          - prune: powered-wanda
            sparsity: 0.5
            power: 0.75
        """.utf8), file: "the program")

let loaded = try LoadedModel(opening: arguments[1])
let result = try RecipeRun(recipe, on: loaded, threads: 2).run()
let record = RecipeRecord(recipe, result, model: arguments[1], version: "own-method 1.0")
try result.loaded.write(
    to: arguments[3], record: record.json, notes: [(RecipeRecord.recipeName, record.yaml)])
for phase in result.phases {
    print("\(phase.summary): \(phase.zeros) of \(phase.prunable) weights are zero")
}
