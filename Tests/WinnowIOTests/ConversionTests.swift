import Testing
import WinnowCore
import WinnowIO
import WinnowWeights

@Suite struct ConversionTests {
    /// All values of a model, q and k in Hugging Face's row order.
    static func values(_ path: String) throws -> [String: [Float]] {
        let checkpoint = try Checkpoint.open(path)
        let shape = checkpoint.configuration
        let pool = try KernelPool(threads: 1)
        var result: [String: [Float]] = [:]
        for name in checkpoint.names {
            switch try checkpoint.tensor(name) {
            case .vector(let vector): result[name] = vector.floats()
            case .matrix(var matrix):
                let heads = name.contains("q_proj") ? shape.heads : name.contains("k_proj") ? shape.keyValueHeads : 0
                if shape.rotaryStyle == .interleaved, heads > 0 {
                    matrix = try matrix.permutingRows(
                        rotaryRowOrder(heads: heads, headWidth: shape.headWidth, from: .interleaved, to: .halves))
                }
                result[name] = matrix.floats(on: pool)
            }
        }
        return result
    }

    static func convert(
        _ source: String, _ target: ModelConversion.Target, _ format: WeightFormat? = nil, to path: String,
        shards: Int = 5_000_000_000
    ) throws {
        var conversion = try ModelConversion(to: target, format: format)
        conversion.maxShardBytes = shards
        try conversion.write(Checkpoint.open(source), to: path, overwrite: false, on: KernelPool(threads: 2))
    }

    /// The fixtures hold the same weights in both layouts: a converted file is the other fixture, bit for bit.
    @Test(arguments: ["tied-q8_0.gguf", "tied-q4_0.gguf", "tied-q4_1.gguf", "untied-f16.gguf", "tied", "untied"])
    func withoutFormatNothingIsLost(_ name: String) throws {
        try Fixture.withFolder { folder in
            let source = try ConversionTests.values(Fixture.path(name))
            for target in ModelConversion.Target.allCases {
                let path = "\(folder)/\(target.rawValue)"
                try ConversionTests.convert(Fixture.path(name), target, to: path)
                #expect(try ConversionTests.values(path) == source, "\(name) to \(target)")
                // And from there on.
                try ConversionTests.convert(path, .gguf, to: "\(path).gguf")
                try ConversionTests.convert("\(path).gguf", .hf, to: "\(path)-again")
                #expect(try ConversionTests.values("\(path)-again") == source, "\(name) to \(target) to gguf to hf")
            }
            #expect(Fixture.names(in: folder).allSatisfy { !$0.contains("partial") })
        }
    }

    /// Rows of GGUF files are the folder's, permuted: what gguf-py wrote is what we make of it.
    @Test func folderAndFileHoldTheSameRows() throws {
        let folder = try ConversionTests.values(Fixture.path("untied"))
        try Fixture.withFolder { out in
            try ConversionTests.convert(Fixture.path("untied"), .gguf, .f16, to: "\(out)/model.gguf")
            let ours = try ConversionTests.values("\(out)/model.gguf")
            #expect(try ours == ConversionTests.values(Fixture.path("untied-f16.gguf")))
            #expect(ours.keys.sorted() == folder.keys.sorted())
        }
    }

    /// The gguf package quantized the fixtures from the same floats.
    @Test(arguments: [("tied-q8_0.gguf", WeightFormat.q8_0), ("tied-q4_0.gguf", .q4_0), ("tied-q4_1.gguf", .q4_1)])
    func roundsAsTheReferenceDoes(_ name: String, _ format: WeightFormat) throws {
        try Fixture.withFolder { folder in
            try ConversionTests.convert(Fixture.path("tied"), .gguf, format, to: "\(folder)/model.gguf")
            let ours = try Checkpoint.open("\(folder)/model.gguf")
            let theirs = try Checkpoint.open(Fixture.path(name))
            for tensor in theirs.names where tensor.hasPrefix("model.layers.") && tensor.contains("proj") {
                let (a, b) = (try ours.matrix(tensor), try theirs.matrix(tensor))
                #expect(a.format == b.format)
                #expect(a.parts.values.bytes.elementsEqual(b.parts.values.bytes), "\(tensor)")
            }
            let embedding = try ours.matrix("model.embed_tokens.weight")
            #expect(embedding.format == .q8_0)
        }
    }

    @Test(arguments: ["tied-q8_0.gguf", "tied-q4_0.gguf", "tied-q4_1.gguf", "untied-f16.gguf"])
    func maskedFoldersReopenAndBecomeDense(_ name: String) throws {
        try Fixture.withFolder { folder in
            try Fixture.writeMasked(name, to: "\(folder)/masked")
            let masked = try Checkpoint.open("\(folder)/masked")
            let source = try Checkpoint.open(Fixture.path(name))
            let up = "model.layers.1.mlp.up_proj.weight"
            #expect(try masked.matrix(up).format == source.matrix(up).format.masked)
            let values = try ConversionTests.values("\(folder)/masked")
            let kept = try #require(values[up])
            let before = try source.matrix(up).floats(on: KernelPool(threads: 1))
            let columns = source.configuration.width
            for index in kept.indices {
                let isKept = (index / columns * 7 + index % columns * 5) % 11 < 5
                #expect(kept[index] == (isKept ? before[index] : 0))
            }
            for target in ModelConversion.Target.allCases {
                let path = "\(folder)/\(target.rawValue)"
                try ConversionTests.convert("\(folder)/masked", target, to: path)
                #expect(try ConversionTests.values(path) == values, "\(target)")
            }
            // In its own grid where that has a zero, else in float32.
            let dense = try Checkpoint.open("\(folder)/gguf").matrix(up).format
            #expect(dense == (name == "tied-q4_1.gguf" ? .f32 : try source.matrix(up).format))
            let config = try String(decoding: Fixture.bytes("\(folder)/dense/config.json"), as: UTF8.self)
            #expect(!config.contains("quantization_config") && !config.contains("\"layers\""))
        }
    }

    /// A pruned model that went through plain floats gets its masks back: the zeros are where they were.
    @Test(arguments: WeightFormats.all.filter(\.isMasked).map(\.name))
    func maskedFormatsKeepTheZerosThatAreThere(_ name: String) throws {
        try Fixture.withFolder { folder in
            let format = try #require(WeightFormats.named(name))
            try Fixture.writeMasked(to: "\(folder)/masked")
            try ConversionTests.convert("\(folder)/masked", .hf, to: "\(folder)/floats")
            for source in ["masked", "floats"] {
                let path = "\(folder)/\(source)-packed"
                try ConversionTests.convert("\(folder)/\(source)", .packed, format, to: path)
                let (before, after) = (try Checkpoint.open("\(folder)/masked"), try Checkpoint.open(path))
                let pool = try KernelPool(threads: 1)
                for tensor in before.names {
                    guard case .matrix(let matrix) = try after.tensor(tensor) else { continue }
                    guard tensor.hasPrefix("model.layers.") else {
                        #expect(!matrix.format.isMasked, "\(tensor)")
                        continue
                    }
                    let old = try before.matrix(tensor)
                    #expect(matrix.format == format)
                    let (mask, kept) = (try #require(matrix.mask), old.nonzeros(on: pool))
                    if format.maskColumns > 1 {
                        // Blocks are kept whole, and hold zeros.
                        #expect(kept.isSubset(of: mask) && matrix.nonzeros(on: pool).isSubset(of: kept), "\(tensor)")
                    } else if old.format == format, source == "masked" {
                        #expect(mask == old.mask)
                    } else {
                        #expect(mask == kept, "\(tensor) from \(source)")
                    }
                }
            }
        }
    }

    @Test func shardsOfAFolder() throws {
        try Fixture.withFolder { folder in
            try ConversionTests.convert(Fixture.path("tied-q8_0.gguf"), .hf, to: "\(folder)/model", shards: 100_000)
            let names = Fixture.names(in: "\(folder)/model")
            let shards = names.filter { $0.hasSuffix(".safetensors") }
            #expect(shards.count == 4)
            #expect(names.contains("model.safetensors.index.json"))
            #expect(shards.first == "model-00001-of-00004.safetensors")
            #expect(
                try ConversionTests.values("\(folder)/model") == ConversionTests.values(Fixture.path("tied-q8_0.gguf")))
        }
    }

    @Test(arguments: ["tied", "tied-q4_1.gguf", "untied"])
    func tokenizersGoAlong(_ name: String) throws {
        try Fixture.withFolder { folder in
            let source = try Checkpoint.open(Fixture.path(name)).tokenizer
            try ConversionTests.convert(Fixture.path(name), .gguf, to: "\(folder)/a.gguf")
            try ConversionTests.convert("\(folder)/a.gguf", .hf, to: "\(folder)/b")
            let back = try Checkpoint.open("\(folder)/b")
            #expect(back.tokenizer.tokens == source.tokens)
            #expect(back.tokenizer.merges == source.merges)
            #expect(back.tokenizer.preTokenizer == source.preTokenizer)
            #expect(back.tokenizer.bosID == source.bosID && back.tokenizer.eosID == source.eosID)
            #expect(back.tokenizer.addsBOS == source.addsBOS)
            #expect(back.tokenizer.chatTemplate == source.chatTemplate)
            #expect(back.tokenizer.addedTokens.map(\.id) == source.addedTokens.map(\.id))
            #expect(back.configuration.eosIDs == (try Checkpoint.open(Fixture.path(name)).configuration.eosIDs))
        }
    }

    @Test func formatsThatATargetCannotHold() {
        #expect(
            throws: ConversionError.formatNotForTarget(
                format: "q4_1", target: "hf", allowed: ["f32", "f16", "bf16"])
        ) { try ModelConversion(to: .hf, format: .q4_1) }
        #expect(
            throws: ConversionError.formatNotForTarget(
                format: "int8", target: "gguf", allowed: ["f32", "f16", "bf16", "q4_0", "q4_1", "q8_0"])
        ) { try ModelConversion(to: .gguf, format: .int8) }
        let error = ConversionError.formatNotForTarget(format: "q4_1", target: "hf", allowed: ["f32", "f16"])
        #expect(error.description == "'hf' cannot hold q4_1; choose f32, f16")
    }

    /// NaN in a scale is found when the weights are rounded, and nothing is left of the output.
    @Test func weightsThatAreNotFinite() throws {
        try Fixture.withFolder { folder in
            let source = try Checkpoint.open(Fixture.path("tied-q8_0.gguf"))
            let tensor = "model.layers.0.mlp.up_proj.weight"
            let matrix = try source.matrix(tensor)
            var bytes = Array(matrix.parts.values.bytes)
            let row = 5
            let start = row * bytes.count / matrix.rows
            bytes.replaceSubrange(start..<start + 2, with: [0x00, 0x7E])
            let broken = try WeightMatrix(
                format: .q8_0, rows: matrix.rows, columns: matrix.columns,
                parts: WeightMatrix.Parts(values: StorageSlice(copying: bytes)), name: tensor)
            try CheckpointWriter("\(folder)/broken").write(source) { name in
                name == tensor ? .matrix(broken) : try source.tensor(name)
            }
            #expect(
                throws: CheckpointError.badWeights(
                    file: "\(folder)/broken", error: .notFinite(name: tensor, row: row))
            ) { try ConversionTests.convert("\(folder)/broken", .hf, to: "\(folder)/out") }
            #expect(Fixture.names(in: folder) == ["broken"])
        }
    }
}
