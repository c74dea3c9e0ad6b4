import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowTestKit
import WinnowWeights

/// Folders that other tools packed (Tools/make-packed-folders.py): the same values bit for bit as those tools unpack.
@Suite(.serialized) struct ForeignFolderTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let format: WeightFormat
        /// What the matrices were, as `down_proj` says it.
        let source: String

        var testDescription: String { name }
    }

    private static let table: [(name: String, format: WeightFormat, source: String)] = [
        ("pack-w4-g32", .int4, "pack-quantized 4-bit, groups of 32"),
        ("pack-w4-g32-asym", .q8_0, "pack-quantized 4-bit, groups of 32"),
        ("pack-w4-g32-order", .f16, "pack-quantized 4-bit, groups of 32 in the order of activations"),
        ("pack-w3-g32", .int4, "pack-quantized 3-bit, groups of 32"),
        ("pack-w8-channel", .int8, "pack-quantized 8-bit"),
        ("pack-w4-g16", .bf16, "pack-quantized 4-bit, groups of 16"),
        ("int-channel", .int8, "int-quantized int8"),
        ("int-channel-asym", .bf16, "int-quantized int8"),
        ("naive-tensor", .int8, "naive-quantized int8"),
        ("float-tensor", .bf16, "float-quantized fp8 e4m3"),
        ("float-channel", .bf16, "float-quantized fp8 e4m3"),
        ("float-block", .bf16, "float-quantized fp8 e4m3, blocks of 16 x 32"),
        ("float-channel-24", .bf16, "float-quantized fp8 e4m3, sparse"),
        ("int-channel-sparse", .maskedInt8, "int-quantized int8, sparse"),
        ("sparse-bf16", .bf16, "sparse-bitmask bf16"),
        ("sparse-f16", .maskedF16, "sparse-bitmask f16"),
        ("sparse-f32-legacy", .f32, "sparse-bitmask f32"),
        ("sparse-24-f16", .maskedF16, "sparse-24-bitmask f16"),
        ("sparse-24-bf16-legacy", .bf16, "sparse-24-bitmask bf16"),
        ("gptq-2", .int4, "gptq 2-bit, groups of 32"),
        ("gptq-3", .int4, "gptq 3-bit, groups of 32"),
        ("gptq-4", .int4, "gptq 4-bit, groups of 32"),
        ("gptq-4-row", .int4, "gptq 4-bit"),
        ("gptq-4-asym", .q8_0, "gptq 4-bit, groups of 32"),
        ("gptq-4-v2", .q8_0, "gptq 4-bit, groups of 32"),
        ("gptq-4-order", .f16, "gptq 4-bit, groups of 32 in the order of activations"),
        ("gptq-8", .q8_0, "gptq 8-bit, groups of 32"),
        ("gptq-8-asym", .bf16, "gptq 8-bit, groups of 32"),
        ("awq-4", .q8_0, "awq 4-bit, groups of 32"),
        ("fp8-blocks", .bf16, "fp8 e4m3, blocks of 32 x 64"),
        ("fp8-ragged", .bf16, "fp8 e4m3, blocks of 24 x 40"),
    ]

    static let cases = table.map { Case(name: $0.name, format: $0.format, source: $0.source) }

    static let expected: JSONObject = {
        let bytes = try! Fixture.bytes(Fixture.path("../packed/packed.json"))
        return try! JSONValue(parsing: bytes).object!
    }()

    /// A copy of `tied` whose two matrices are those of the case.
    static func withFolder<Result>(_ name: String, _ body: (String) throws -> Result) throws -> Result {
        try Fixture.withCopy(of: "tied") { folder in
            let bytes = try Fixture.bytes(Fixture.path("../packed/\(name).safetensors"))
            try Fixture.write(bytes, to: "\(folder)/packed.safetensors")
            let file = try SafetensorsFile(parsing: Storage(copying: bytes), path: name)
            let own = try #require(expected[name])
            try FolderErrorTests.edit("\(folder)/model.safetensors.index.json") { index in
                var map = index["weight_map"]?.object ?? JSONObject()
                for weight in own["weights"]?.object?.keys ?? [] { map[weight] = nil }
                for part in file.names { map[part] = "packed.safetensors" }
                index["weight_map"] = .object(map)
            }
            try FolderErrorTests.edit("\(folder)/config.json") { config in
                config["torch_dtype"] = "bfloat16"
                let settings = own["config"] ?? .null
                if let legacy = settings["compression_config"] {
                    config["compression_config"] = legacy
                } else {
                    config["quantization_config"] = settings
                }
            }
            return try body(folder)
        }
    }

    @Test func everyFixtureIsTried() {
        #expect(Set(ForeignFolderTests.cases.map(\.name)) == Set(ForeignFolderTests.expected.keys))
    }

    @Test(arguments: cases) func valuesAreThoseOfTheOtherTool(_ wanted: Case) throws {
        let pool = try KernelPool(threads: 1)
        let weights = try #require(ForeignFolderTests.expected[wanted.name]?["weights"]?.object)
        try ForeignFolderTests.withFolder(wanted.name) { folder in
            let checkpoint = try Checkpoint.open(folder)
            for (name, expected) in weights.pairs {
                let matrix = try checkpoint.matrix(name)
                #expect(matrix.format == wanted.format, "\(name) is \(matrix.format)")
                // What a format holds exactly is rounded as the other tool rounds when it unpacks.
                let plain: WeightFormat =
                    switch expected["dtype"]?.string {
                    case "F16": .f16
                    case "BF16": .bf16
                    default: .f32
                    }
                let rounded = try matrix.converted(to: plain, on: pool, name: name)
                #expect(
                    SHA256.hexadecimal(of: rounded.parts.values.bytes) == expected["sha256"]?.string,
                    "\(wanted.name): \(name)")
            }
            let down = "model.layers.0.mlp.down_proj.weight"
            #expect(checkpoint.storedFormats[down] == wanted.source)
            #expect(checkpoint.storedFormats.count == 2)
        }
    }

    /// Whatever was packed runs and goes into every layout that we write.
    @Test(arguments: ["pack-w4-g32", "int-channel-sparse", "sparse-f16", "fp8-blocks", "gptq-4-order"])
    func theyAreWrittenAgain(_ name: String) throws {
        let pool = try KernelPool(threads: 1)
        try ForeignFolderTests.withFolder(name) { folder in
            let source = try Checkpoint.open(folder)
            for (target, output) in [
                (ModelConversion.Target.packed, "packed"), (.hf, "hf"), (.gguf, "m.gguf"),
            ] {
                let path = "\(folder)/\(output)"
                try ModelConversion(to: target).write(source, to: path, overwrite: false, on: pool)
                let written = try Checkpoint.open(path)
                // Masked float16 is written as the other tool has it; everything else is plain or in a layout of ours.
                #expect(written.storedFormats.isEmpty || (target == .packed && name == "sparse-f16"))
                for tensor in source.names {
                    guard case .matrix(let a) = try source.tensor(tensor), target != .gguf else { continue }
                    #expect(try written.matrix(tensor).floats(on: pool) == a.floats(on: pool))
                }
            }
        }
    }

    /// Our own sparse folders: `winnow convert --to packed --format masked-f16`, in the layout of compressed-tensors.
    @Test func maskedFloatsAreWrittenAsBitmasks() throws {
        let pool = try KernelPool(threads: 1)
        try ForeignFolderTests.withFolder("sparse-24-f16") { folder in
            let source = try Checkpoint.open(folder)
            let path = "\(folder)/out"
            try ModelConversion(to: .packed, format: .maskedF16).write(
                source, to: path, overwrite: false, on: pool)
            let config = try #require(try JSONValue(parsing: Fixture.bytes("\(path)/config.json")).object)
            let settings = try #require(config["quantization_config"]?.object)
            #expect(settings.keys == ["quant_method", "sparsity_config"])
            #expect(settings["sparsity_config"]?["format"] == "sparse-bitmask")
            let file = try SafetensorsFile("\(path)/model.safetensors")
            for (part, dtype) in [
                ("compressed", DType.f16), ("bitmask", .u8), ("row_offsets", .i64), ("shape", .i64),
            ] {
                #expect(file["model.layers.0.mlp.down_proj.\(part)"]?.dtype == dtype)
            }
            let written = try Checkpoint.open(path)
            for name in source.names {
                guard case .matrix(let matrix) = try source.tensor(name) else { continue }
                let again = try written.matrix(name)
                #expect(again.format == (name.hasPrefix("model.layers.") ? .maskedF16 : .f16))
                let expected = try matrix.converted(to: .f16, on: pool, name: name)
                #expect(again.floats(on: pool) == expected.floats(on: pool))
            }
        }
    }

    /// Beside layers in formats that no other tool knows, the same arrays.
    @Test func masksOfSeveralKindsInOneFolder() throws {
        let pool = try KernelPool(threads: 1)
        try Fixture.withFolder { folder in
            let source = try Checkpoint.open(Fixture.path("untied"))
            func tensor(_ name: String) throws -> CheckpointTensor {
                guard case .matrix(let matrix) = try source.tensor(name),
                    source.configuration.isBlockLinear(name)
                else { return try source.tensor(name) }
                let format: WeightFormat = name.contains("mlp") ? .maskedInt8 : .maskedF16
                return .matrix(try matrix.maskingZeros(in: format, group: 0, on: pool, name: name))
            }
            let path = "\(folder)/mixed"
            try CheckpointWriter(path).write(source, tensor: tensor)
            let written = try Checkpoint.open(path)
            for name in source.names {
                guard case .matrix(let matrix) = try tensor(name) else { continue }
                let again = try written.matrix(name)
                #expect(again.format == matrix.format && again.floats(on: pool) == matrix.floats(on: pool))
            }
        }
    }
}
