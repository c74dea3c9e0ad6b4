import Testing
import WinnowCompress
import WinnowJSON
import WinnowModels
import WinnowRecipes
import WinnowTestKit

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The recipes that come with Winnow.
@Suite struct RecipeFileTests {
    private static let folder =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/") + "/Recipes"

    private static let names: [String] = {
        guard let folder = opendir(folder) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // A group of evaluation tasks stands among them, above its tasks.
            if name.hasSuffix(".yaml"), name != "all-tasks.yaml" { names.append(name) }
        }
        return names.sorted()
    }()

    @Test func thereAreSome() {
        #expect(RecipeFileTests.names.count >= 8)
    }

    @Test(arguments: names) func decodesAndIsTheSameWithDefaultsWrittenOut(name: String) throws {
        guard let file = fopen("\(RecipeFileTests.folder)/\(name)", "rb") else {
            Issue.record("\(name) cannot be read")
            return
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let text = Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
        // A comment says what it is for.
        #expect(text.first == UInt8(ascii: "#"))
        let recipe = try RecipeDecoder().decode(text, file: name)
        let written = JSONValue.object(recipe.json).yaml()
        #expect(try RecipeDecoder().decode(Array(written.utf8), file: name).json == recipe.json)
        // Selections match layers of a model as they are named everywhere.
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        let model = try LoadedModel(
            opening: tests.joined(separator: "/") + "/Fixtures/tiny-llama/tied-q4_1.gguf")
        let rules = try RecipeRun(recipe, on: model, threads: 1).layerRules()
        #expect(rules.count == recipe.phases.count)
    }
}
