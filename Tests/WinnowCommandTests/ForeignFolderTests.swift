import Testing
import WinnowJSON
import WinnowTestKit

/// What is said of a folder that another tool packed.
@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct ForeignFolderTests {
    /// The tiny model with two matrices of Tests/Fixtures/packed in the places of its own.
    private func withFolder(_ name: String, _ body: (String) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            let packed = "\(TinyModel.fixtures)/../packed"
            for shard in 1...5 {
                let file = "model-0000\(shard)-of-00005.safetensors"
                try TemporaryFolder.write(
                    TinyModel.contents("\(TinyModel.folder)/\(file)"), to: "\(folder)/\(file)")
            }
            for file in ["tokenizer.json", "tokenizer_config.json"] {
                try TemporaryFolder.write(
                    TinyModel.contents("\(TinyModel.folder)/\(file)"), to: "\(folder)/\(file)")
            }
            try TemporaryFolder.write(
                TinyModel.contents("\(packed)/\(name).safetensors"), to: "\(folder)/packed.safetensors")
            let own = try #require(try JSONValue(parsing: TinyModel.contents("\(packed)/packed.json"))[name])
            func edit(_ file: String, _ change: (inout JSONObject) -> Void) throws {
                var object = try #require(
                    try JSONValue(parsing: TinyModel.contents("\(TinyModel.folder)/\(file)")).object)
                change(&object)
                try TemporaryFolder.write(
                    Array(JSONValue.object(object).text().utf8), to: "\(folder)/\(file)")
            }
            try edit("config.json") { $0["quantization_config"] = own["config"] }
            try edit("model.safetensors.index.json") { index in
                var map = index["weight_map"]?.object ?? JSONObject()
                for weight in own["weights"]?.object?.keys ?? [] {
                    map[weight] = nil
                    for part in ["qweight", "qzeros", "scales", "g_idx"] {
                        map["\(weight.dropLast("weight".count))\(part)"] = "packed.safetensors"
                    }
                }
                index["weight_map"] = .object(map)
            }
            try body(folder)
        }
    }

    @Test func inspectSaysWhatItWas() throws {
        try withFolder("gptq-4") { folder in
            let notice =
                "loaded in another format: 2 matrices of gptq 4-bit, groups of 32 as int4\n"
            let ending = try CommandRun.run(["inspect", "--model", folder, "--json"])
            #expect(ending.status == 0 && ending.errors == notice, "\(ending.errors)")
            let layers = try #require(try ending.json()["layers"]?.array)
            let packed = layers.filter { $0["storedFormat"]?.string != nil }
            #expect(
                packed.map { $0["name"]?.string } == [
                    "model.layers.0.self_attn.v_proj.weight", "model.layers.0.mlp.down_proj.weight",
                ])
            #expect(
                packed.allSatisfy {
                    $0["storedFormat"] == "gptq 4-bit, groups of 32" && $0["format"] == "int4"
                })
            let table = try CommandRun.run(["inspect", "--model", folder])
            #expect(table.output.contains("packed as     gptq 4-bit, groups of 32\n"), "\(table.output)")
            let generated = try CommandRun.run([
                "generate", "--model", folder, "--raw", "--prompt", "The wheat", "--max-tokens", "4",
                "--quiet",
            ])
            #expect(generated.status == 0 && generated.errors.isEmpty, "\(generated.errors)")
        }
    }
}
