import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

/// What `convert --to compressed-tensors` writes. Tools/check-outputs opens the same in transformers.
@Suite struct QuantizedFolderTests {
    /// A packed folder of `tied` with formats by name.
    private static func write(
        _ path: String, group: Int = 32, _ format: (String) -> WeightFormat
    ) throws {
        let pool = try KernelPool(threads: 1)
        let source = try Checkpoint.open(Fixture.path("tied"))
        func tensor(_ name: String) throws -> CheckpointTensor {
            guard case .matrix(let matrix) = try source.tensor(name), name.hasPrefix("model.layers.") else {
                return try source.tensor(name)
            }
            let wanted = format(name)
            return .matrix(
                wanted.isMasked
                    ? try matrix.maskingZeros(in: wanted, group: group, on: pool, name: name)
                    : try matrix.converted(to: wanted, group: group, on: pool, name: name))
        }
        try CheckpointWriter(path).write(
            configuration: source.configuration, tokenizer: source.tokenizer, names: source.names,
            tensor: tensor)
    }

    private static func config(_ folder: String) throws -> JSONObject {
        let object = try #require(try JSONValue(parsing: Fixture.bytes("\(folder)/config.json")).object)
        return try #require(object["quantization_config"]?.object)
    }

    private static func checkSame(_ a: String, _ b: String, _ format: (String) -> WeightFormat) throws {
        let pool = try KernelPool(threads: 1)
        let (source, written) = (try Checkpoint.open(a), try Checkpoint.open(b))
        for name in source.names {
            guard case .matrix(let matrix) = try source.tensor(name) else { continue }
            let again = try written.matrix(name)
            #expect(again.floats(on: pool) == matrix.floats(on: pool), "\(name)")
            if name.hasPrefix("model.layers.") { #expect(again.format == format(name)) }
        }
    }

    @Test(arguments: [("int8", "int-quantized"), ("int4", "pack-quantized")])
    func oneSchemeIsForAllLinears(_ name: String, _ layout: String) throws {
        let format = try #require(WeightFormats.named(name))
        let masked = try #require(format.masked)
        for stored in [format, masked] {
            try Fixture.withFolder { folder in
                try QuantizedFolderTests.write("\(folder)/a") { _ in stored }
                try ConversionTests.convert("\(folder)/a", .compressedTensors, to: "\(folder)/b")
                let config = try QuantizedFolderTests.config("\(folder)/b")
                #expect(config["format"]?.string == layout && config["quant_method"] == "compressed-tensors")
                #expect(config["ignore"] == ["model.embed_tokens", "lm_head"])
                let group = try #require(config["config_groups"]?["group_0"])
                #expect(group["targets"] == ["Linear"] && group["format"]?.string == layout)
                #expect(group["weights"]?["num_bits"]?.integer == format.codeBits)
                #expect(group["weights"]?["strategy"] == (name == "int8" ? "channel" : "group"))
                #expect(group["weights"]?["group_size"]?.integer == (name == "int8" ? nil : 32))
                let file = try SafetensorsFile("\(folder)/b/model.safetensors")
                let down = "model.layers.1.mlp.down_proj"
                let parts: [(String, DType, [Int])] =
                    name == "int8"
                    ? [("weight", .i8, [64, 96]), ("weight_scale", .f32, [64, 1])]
                    : [
                        ("weight_packed", .i32, [64, 12]), ("weight_scale", .f16, [64, 3]),
                        ("weight_shape", .i64, [2]),
                    ]
                for (part, dtype, shape) in parts {
                    let tensor = file["\(down).\(part)"]
                    #expect(tensor?.dtype == dtype && tensor?.shape == shape)
                }
                try QuantizedFolderTests.checkSame("\(folder)/a", "\(folder)/b") { _ in format }
                let zeros = try Checkpoint.open("\(folder)/b").storedFormats[down + ".weight"]
                #expect(zeros?.hasPrefix(layout) == true)
            }
        }
    }

    @Test func severalSchemesNameTheirModules() throws {
        func format(_ name: String) -> WeightFormat {
            name.contains("down_proj") ? .int8 : name.contains("v_proj") ? .f32 : .int4
        }
        try Fixture.withFolder { folder in
            try QuantizedFolderTests.write("\(folder)/a", format)
            try ConversionTests.convert("\(folder)/a", .compressedTensors, to: "\(folder)/b")
            let config = try QuantizedFolderTests.config("\(folder)/b")
            #expect(config["format"] == "mixed-precision")
            #expect(config["config_groups"]?.object?.count == 2)
            let groups = (config["config_groups"]?.object?.pairs ?? []).map { $0.value }
            let bytes = groups.first { $0["format"] == "int-quantized" }
            #expect(bytes?["targets"] == ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"])
            let ignored = (config["ignore"]?.array ?? []).map { $0.string ?? "" }
            #expect(ignored.contains("model.layers.0.self_attn.v_proj") && ignored.last == "lm_head")
            try QuantizedFolderTests.checkSame("\(folder)/a", "\(folder)/b", format)
        }
    }

    @Test func floatsAreRoundedWhenAsked() throws {
        try Fixture.withFolder { folder in
            try ConversionTests.convert(
                Fixture.path("tied-q4_0.gguf"), .compressedTensors, .int8, to: "\(folder)/a")
            let written = try Checkpoint.open("\(folder)/a")
            #expect(try written.matrix("model.layers.0.mlp.up_proj.weight").format == .int8)
            #expect(try written.matrix("model.embed_tokens.weight").format == .f32)
        }
    }

    @Test func whatOthersCannotHoldIsRefused() throws {
        try Fixture.withFolder { folder in
            try QuantizedFolderTests.write("\(folder)/a", group: 64) { _ in .int4 }
            let path = "\(folder)/b"
            #expect(
                throws: CheckpointError.unsupported(
                    file: path,
                    feature: "model.layers.0.mlp.down_proj.weight: int4 in groups of 64 for 96 columns",
                    advice: "quantize in groups that divide them, or with --format int8")
            ) { try ConversionTests.convert("\(folder)/a", .compressedTensors, to: path) }
            #expect(Fixture.names(in: folder) == ["a"])
            #expect(throws: ConversionError.self) {
                try ModelConversion(to: .compressedTensors, format: .q8_0)
            }
        }
    }
}
