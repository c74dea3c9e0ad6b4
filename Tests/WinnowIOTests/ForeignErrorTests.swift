import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowWeights

/// Folders of other tools whose parts do not fit together, by the error they get; and damaged ones.
@Suite(.serialized) struct ForeignErrorTests {
    static let down = "model.layers.0.mlp.down_proj"

    /// What opening the fixture says after its tensors were changed; nil when it opens.
    static func message(
        _ name: String, _ change: (inout [String: Tensor]) -> Void
    ) throws -> String? {
        try ForeignFolderTests.withFolder(name) { folder in
            let path = "\(folder)/packed.safetensors"
            let file = try SafetensorsFile(path)
            var tensors: [String: Tensor] = [:]
            for part in file.names {
                // A copy: the file is written over.
                let tensor = try #require(file[part])
                tensors[part] = Tensor(
                    dtype: tensor.dtype, shape: tensor.shape,
                    bytes: StorageSlice(copying: Array(tensor.bytes.bytes)))
            }
            change(&tensors)
            try SafetensorsFile.write(
                tensors.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }, to: path,
                overwrite: true)
            try FolderErrorTests.edit("\(folder)/model.safetensors.index.json") { index in
                var map = index["weight_map"]?.object ?? JSONObject()
                for part in file.names { map[part] = nil }
                for part in tensors.keys { map[part] = "packed.safetensors" }
                index["weight_map"] = .object(map)
            }
            do {
                let checkpoint = try Checkpoint.open(folder)
                for name in checkpoint.names { _ = try checkpoint.tensor(name) }
            } catch let error as CheckpointError {
                return error.description.replacing(folder, with: "M")
            }
            return nil
        }
    }

    static func expect(
        _ name: String, _ message: String, _ part: String, _ change: @escaping (Tensor) -> Tensor?
    ) throws {
        let key = "\(down).\(part)"
        let found = try ForeignErrorTests.message(name) { $0[key] = $0[key].flatMap(change) }
        #expect(found == "M/packed.safetensors: tensor \(message)", "\(name), \(part)")
    }

    private static func numbers<Element: BitwiseCopyable>(
        _ tensor: Tensor, _ change: (inout [Element]) -> Void
    ) -> Tensor {
        var values = (0..<tensor.bytes.byteCount / MemoryLayout<Element>.size).map {
            tensor.bytes.bytes.loadUnaligned(
                fromByteOffset: $0 * MemoryLayout<Element>.size, as: Element.self)
        }
        change(&values)
        return Tensor(dtype: tensor.dtype, shape: tensor.shape, bytes: StorageSlice(copying: values))
    }

    private static func shaped(_ tensor: Tensor, _ shape: [Int]) -> Tensor {
        let bytes = [UInt8](repeating: 1, count: shape.reduce(1, *) * tensor.dtype.byteCount)
        return Tensor(dtype: tensor.dtype, shape: shape, bytes: StorageSlice(copying: bytes))
    }

    @Test func gptq() throws {
        let down = ForeignErrorTests.down
        try ForeignErrorTests.expect("gptq-4", "\(down).g_idx puts column 5 into group 3 of 3", "g_idx") {
            ForeignErrorTests.numbers($0) { (values: inout [Int32]) in values[5] = 3 }
        }
        try ForeignErrorTests.expect("gptq-4", "\(down).g_idx puts column 0 into group -2 of 3", "g_idx") {
            ForeignErrorTests.numbers($0) { (values: inout [Int32]) in values[0] = -2 }
        }
        // 12 words of 32 bits for 64 columns are codes of 6 bits.
        try ForeignErrorTests.expect(
            "gptq-4", "\(down).qweight has 12 words for 64 columns; expected 2, 3, 4 or 8 bits each", "g_idx"
        ) { ForeignErrorTests.shaped($0, [64]) }
        try ForeignErrorTests.expect(
            "gptq-4", "\(down).qzeros has the shape [3, 9]; expected [3, 8]", "qzeros"
        ) { ForeignErrorTests.shaped($0, [3, 9]) }
        try ForeignErrorTests.expect(
            "gptq-4", "\(down).scales has the shape [3, 32]; expected [3, 64]", "scales"
        ) { ForeignErrorTests.shaped($0, [3, 32]) }
        try ForeignErrorTests.expect(
            "gptq-4", "\(down).scales is I32; expected F32 or F16 or BF16", "scales"
        ) { Tensor(dtype: .i32, shape: $0.shape, bytes: ForeignErrorTests.shaped($0, [6, 64]).bytes) }
        try ForeignErrorTests.expect("gptq-4", "\(down).weight has a scale that is not finite", "scales") {
            ForeignErrorTests.numbers($0) { (values: inout [UInt16]) in values[7] = 0x7C00 }
        }
        for part in ["qzeros", "scales"] {
            #expect(
                try ForeignErrorTests.message("gptq-4") { $0["\(down).\(part)"] = nil }
                    == "M/packed.safetensors: tensor \(down).\(part) is missing; is the file complete, and does its "
                    + "configuration belong to it?")
        }
        // Without its words nothing says that the matrix is packed.
        #expect(
            try ForeignErrorTests.message("gptq-4") { $0["\(down).qweight"] = nil }?.contains("\(down).")
                == true)
    }

    @Test func awq() throws {
        let down = ForeignErrorTests.down
        try ForeignErrorTests.expect(
            "awq-4", "\(down).qzeros has the shape [3, 7]; expected [3, 8]", "qzeros"
        ) {
            ForeignErrorTests.shaped($0, [3, 7])
        }
        #expect(
            try ForeignErrorTests.message("awq-4") {
                $0["\(down).scales"] = ForeignErrorTests.shaped($0["\(down).scales"]!, [5, 64])
                $0["\(down).qzeros"] = ForeignErrorTests.shaped($0["\(down).qzeros"]!, [5, 8])
            }
                == "M/packed.safetensors: tensor \(down).scales has 5 groups, which 96 columns do not divide into"
        )
    }

    @Test func packedCodes() throws {
        let down = ForeignErrorTests.down
        try ForeignErrorTests.expect(
            "pack-w4-g32",
            "\(down).weight_packed has the shape [64, 11] for [64, 96]; expected codes of 4 bits, as "
                + "config_groups says", "weight_packed"
        ) { ForeignErrorTests.shaped($0, [64, 11]) }
        try ForeignErrorTests.expect(
            "pack-w4-g32", "\(down).weight_shape is the impossible shape [64, \(1 << 40)]", "weight_shape"
        ) { ForeignErrorTests.numbers($0) { (values: inout [Int64]) in values[1] = 1 << 40 } }
        try ForeignErrorTests.expect(
            "pack-w4-g32", "\(down).weight_shape has 3 numbers; expected 2", "weight_shape"
        ) { ForeignErrorTests.shaped($0, [3]) }
        try ForeignErrorTests.expect(
            "pack-w4-g32", "\(down).weight_scale has 7 groups, which 96 columns do not divide into",
            "weight_scale"
        ) { ForeignErrorTests.shaped($0, [64, 7]) }
        try ForeignErrorTests.expect(
            "pack-w4-g32", "\(down).weight_scale has the shape [60, 3] for weights of [64, 96]",
            "weight_scale"
        ) { ForeignErrorTests.shaped($0, [60, 3]) }
        try ForeignErrorTests.expect(
            "pack-w4-g32-asym", "\(down).weight_zero_point has the shape [7, 3]; expected [8, 3]",
            "weight_zero_point"
        ) { ForeignErrorTests.shaped($0, [7, 3]) }
        try ForeignErrorTests.expect(
            "pack-w4-g32-order", "\(down).weight_g_idx has 95 numbers; expected 96", "weight_g_idx"
        ) { ForeignErrorTests.shaped($0, [95]) }
    }

    @Test func sparse() throws {
        let down = ForeignErrorTests.down
        let kept = try ForeignFolderTests.withFolder("sparse-f16") {
            try #require(try SafetensorsFile("\($0)/packed.safetensors")["\(down).compressed"]).count
        }
        // One bit more: the values no longer say which weights they are.
        try ForeignErrorTests.expect(
            "sparse-f16", "\(down).bitmask has \(kept + 1) bits for \(kept) values", "bitmask"
        ) { tensor in
            ForeignErrorTests.numbers(tensor) { (values: inout [UInt8]) in
                let byte = values.firstIndex { $0 != 0xFF }!
                values[byte] |= values[byte] + 1
            }
        }
        try ForeignErrorTests.expect(
            "sparse-f16", "\(down).bitmask has 512 bytes for a mask of [64, 96], which takes 768", "bitmask"
        ) { ForeignErrorTests.shaped($0, [64, 8]) }
        try ForeignErrorTests.expect(
            "sparse-f16", "\(down).bitmask has bits past the last column in row 0", "shape"
        ) { ForeignErrorTests.numbers($0) { (values: inout [Int64]) in values[1] = 89 } }
        let start = try ForeignFolderTests.withFolder("sparse-f16") {
            let file = try SafetensorsFile("\($0)/packed.safetensors")
            let offsets = try #require(file["\(down).row_offsets"])
            return offsets.bytes.bytes.loadUnaligned(fromByteOffset: 16, as: Int64.self)
        }
        try ForeignErrorTests.expect(
            "sparse-f16", "\(down).row_offsets begins row 2 at \(start + 1); the mask has \(start)",
            "row_offsets"
        ) { ForeignErrorTests.numbers($0) { (values: inout [Int64]) in values[2] += 1 } }
        #expect(
            try ForeignErrorTests.message("sparse-f16") {
                $0["\(down).weight.compressed"] = $0["\(down).compressed"]
            } == "M/packed.safetensors: tensor \(down).compressed comes twice")
        #expect(
            try ForeignErrorTests.message("float-channel-24") { $0["\(down).bitmask"] = nil }
                == "M/packed.safetensors: tensor \(down).bitmask is missing; is the file complete, and does its "
                + "configuration belong to it?")
        // The matrix itself beside what it was packed into.
        #expect(
            try ForeignErrorTests.message("sparse-f16") {
                $0["\(down).weight"] = Tensor([Float](repeating: 0, count: 64 * 96), shape: [64, 96])
            } == "M/packed.safetensors: tensor \(down).weight is stored twice: as it is and as compressed")
    }

    @Test func bytes() throws {
        let down = ForeignErrorTests.down
        try ForeignErrorTests.expect(
            "fp8-blocks", "\(down).weight_scale_inv has the shape [5, 2] for weights of [64, 96]",
            "weight_scale_inv"
        ) { ForeignErrorTests.shaped($0, [5, 2]) }
        try ForeignErrorTests.expect(
            "int-channel-asym", "\(down).weight_zero_point has 63 numbers; expected 64", "weight_zero_point"
        ) { ForeignErrorTests.shaped($0, [63, 1]) }
        #expect(
            try ForeignErrorTests.message("float-tensor") {
                $0["\(down).weight"] = ForeignErrorTests.shaped($0["\(down).weight"]!, [64, 95])
            } == "M: tensor \(down).weight is [64, 95], but the configuration asks for [64, 96]")
    }

    /// fp8 without a scale, and fp8 in a folder that says nothing of it.
    @Test func bytesThatAreTheWeights() throws {
        let pool = try KernelPool(threads: 1)
        try ForeignFolderTests.withFolder("float-tensor") { folder in
            try FolderErrorTests.edit("\(folder)/config.json") { $0["quantization_config"] = nil }
            try FolderErrorTests.edit("\(folder)/model.safetensors.index.json") { index in
                var map = index["weight_map"]?.object ?? JSONObject()
                for key in map.keys where key.hasSuffix("weight_scale") { map[key] = nil }
                index["weight_map"] = .object(map)
            }
            let checkpoint = try Checkpoint.open(folder)
            let matrix = try checkpoint.matrix("\(ForeignErrorTests.down).weight")
            #expect(matrix.format == .f16)
            let file = try SafetensorsFile("\(folder)/packed.safetensors")
            let bytes = try Array(#require(file["\(ForeignErrorTests.down).weight"]).bytes.bytes)
            for (byte, value) in zip(bytes, matrix.floats(on: pool)) {
                // Sign, exponent with a bias of 7, three bits of fraction.
                let exponent = Int(byte >> 3 & 15), fraction = Double(byte & 7) / 8
                let size =
                    exponent == 0
                    ? fraction / 64
                    : (1 + fraction) * Double(sign: .plus, exponent: exponent - 7, significand: 1)
                #expect(Double(value) == (byte & 0x80 == 0 ? size : -size))
            }
        }
    }

    /// What other writers say in other words, or more of than is needed.
    @Test func otherSpellings() throws {
        let pool = try KernelPool(threads: 1)
        func weights(_ name: String, _ change: (inout JSONObject) -> Void) throws -> [Float] {
            try ForeignFolderTests.withFolder(name) { folder in
                try FolderErrorTests.edit("\(folder)/config.json") { config in
                    var settings = config["quantization_config"]?.object ?? JSONObject()
                    change(&settings)
                    config["quantization_config"] = .object(settings)
                }
                return try Checkpoint.open(folder).matrix("\(ForeignErrorTests.down).weight").floats(on: pool)
            }
        }
        let expected = try weights("pack-w4-g32") { _ in }
        // A part of the model each, a preset's name, a sparsity that is metadata alone, or nothing of it.
        #expect(try weights("pack-w4-g32") { $0["format"] = "mixed-precision" } == expected)
        #expect(try weights("pack-w4-g32") { $0["config_groups"] = ["W4A16": ["Linear"]] } == expected)
        #expect(
            try weights("pack-w4-g32") {
                $0["sparsity_config"] = [
                    "format": "dense", "sparsity_structure": "2:4", "global_sparsity": 50,
                ]
            } == expected)
        #expect(try weights("pack-w4-g32") { $0["sparsity_config"] = [:] } == expected)
        let blocks = try weights("float-block") { _ in }
        #expect(
            try weights("float-block") {
                var group = $0["config_groups"]?["group_0"]?.object ?? JSONObject()
                var own = group["weights"]?.object ?? JSONObject()
                own["block_structure"] = "16x32"
                group["weights"] = .object(own)
                $0["config_groups"] = ["group_0": .object(group)]
            } == blocks)
        for name in ["W0A16", "W99999999999999999999A16", "W", "WA"] {
            #expect(throws: CheckpointError.self) {
                try weights("pack-w4-g32") { $0["config_groups"] = .object(JSONObject([(name, ["Linear"])])) }
            }
        }
        let refused = #expect(throws: CheckpointError.self) {
            try weights("pack-w4-g32") {
                $0["config_groups"] = ["group_0": ["format": "nvfp4-pack-quantized", "targets": ["Linear"]]]
            }
        }
        #expect(refused?.description.contains("quantization 'nvfp4-pack-quantized' is not supported") == true)
    }

    /// Folders of AutoGPTQ and AutoAWQ from before `quantization_config`: a file of their own, and a name of their own.
    @Test(arguments: [("gptq-4-row", "quantize_config.json"), ("awq-4", "quant_config.json")])
    func oldFolders(_ name: String, _ file: String) throws {
        let pool = try KernelPool(threads: 1)
        let expected = try ForeignFolderTests.withFolder(name) {
            try Checkpoint.open($0).matrix("\(ForeignErrorTests.down).weight").floats(on: pool)
        }
        try ForeignFolderTests.withFolder(name) { folder in
            try FolderErrorTests.edit("\(folder)/config.json") { $0["quantization_config"] = nil }
            let settings =
                name == "awq-4"
                ? #"{"zero_point": true, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}"#
                : #"{"bits": 4, "group_size": -1, "desc_act": false, "sym": true}"#
            try Fixture.write(Array(settings.utf8), to: "\(folder)/\(file)")
            #expect(
                try Checkpoint.open(folder).matrix("\(ForeignErrorTests.down).weight").floats(on: pool)
                    == expected)
        }
    }

    /// Plain weights beside the scales they were trained with.
    @Test func scalesThatAreNotUsed() throws {
        let down = ForeignErrorTests.down
        let message = try ForeignErrorTests.message("int-channel") {
            $0["\(down).weight"] = Tensor([Float](repeating: 0.5, count: 64 * 96), shape: [64, 96])
            $0["\(down).input_scale"] = Tensor([1])
        }
        #expect(message == nil)
    }

    // MARK: Damage

    @Test(arguments: [
        "pack-w4-g32-asym", "pack-w4-g32-order", "int-channel-asym", "float-block", "float-channel-24",
        "int-channel-sparse",
        "sparse-f16", "sparse-24-bf16-legacy", "gptq-3", "gptq-4-order", "awq-4", "fp8-ragged",
    ])
    func damagedFolders(_ name: String) throws {
        try ForeignFolderTests.withFolder(name) { folder in
            let path = "\(folder)/packed.safetensors"
            let bytes = try Fixture.bytes(path)
            let run = MutationRun(
                name, bytes, seed: 41, count: 40, window: 3000, isExpected: MutationTests.isTyped
            ) { damaged in
                try Fixture.write(damaged, to: path)
                try MutationTests.exercise(Checkpoint.open(folder))
            }
            MutationTests.expectGood(run)
            try Fixture.write(bytes, to: path)
            // Settings that are well-formed and say something else.
            var mutator = try JSONTreeMutator(Fixture.bytes("\(folder)/config.json"), seed: 42)
            let trees = MutationRun(
                "config.json of \(name)", count: 25, damaged: { mutator.next() },
                isExpected: MutationTests.isTyped
            ) { damaged in
                try Fixture.write(damaged, to: "\(folder)/config.json")
                try MutationTests.exercise(Checkpoint.open(folder))
            }
            MutationTests.expectGood(trees)
        }
    }

    /// The arrays of sparse and grouped matrices with numbers of any size in them.
    @Test(arguments: ["sparse-f16", "gptq-4-order", "pack-w4-g32-order"])
    func strangeNumbers(_ name: String) throws {
        var random = Random(seed: 43)
        for _ in 0..<60 {
            _ = try ForeignErrorTests.message(name) { tensors in
                let keys = tensors.keys.sorted()
                let key = keys[Int(random.uniform() * Float(keys.count)) % keys.count]
                tensors[key] = ForeignErrorTests.numbers(tensors[key]!) { (values: inout [UInt8]) in
                    for _ in 0..<4 {
                        values[Int(random.uniform() * Float(values.count)) % values.count] = UInt8(
                            random.uniform() * 255)
                    }
                }
            }
        }
    }
}
