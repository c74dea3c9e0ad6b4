import WinnowJSON

/// How a folder of another tool packs its matrices, as its configuration says.
enum QuantizationScheme: Sendable, Equatable {
    /// Plain numbers, or Winnow's own packed layers.
    case plain
    case gptq(GPTQ)
    case awq(groupSize: Int)
    case compressedTensors(CompressedTensors)
    /// Bytes of e4m3 with scales for blocks, as DeepSeek's checkpoints have them, or for rows.
    case fp8(rows: Int?, columns: Int?)

    struct GPTQ: Sendable, Equatable {
        /// Bits a weight, where no tensor says.
        var bits: Int
        /// nil: one group a row.
        var groupSize: Int?
        /// The first version of the format stores zero points less one.
        var zerosAreOneLess: Bool
    }

    struct CompressedTensors: Sendable, Equatable {
        /// `pack-quantized`, `dense` …
        var format: String
        /// `sparse-bitmask`, `dense` …
        var sparsity: String
        /// Bits a weight of the groups of layers, those of packed codes.
        var bits: Set<Int> = []
        /// Rows and columns a scale covers, where scales are for blocks.
        var block: [Int]?
    }

    /// What `config.json` says, or the file of its own that old GPTQ and AWQ folders have.
    ///
    /// - Throws: ``CheckpointError`` for a method that Winnow does not read, with what to do instead.
    init(_ folder: ModelFolder) throws {
        let config = folder.config
        var file = "\(folder.path)/config.json"
        var found = config["quantization_config"] ?? config["compression_config"] ?? .null
        if found.isNull, let sparsity = config["sparsity_config"], !sparsity.isNull {
            found = ["sparsity_config": sparsity]
        }
        if found.isNull, folder.names.contains(where: { $0.hasSuffix(".qweight") }) {
            for name in ["quantize_config.json", "quant_config.json"]
            where FilePath.exists("\(folder.path)/\(name)") {
                file = "\(folder.path)/\(name)"
                var object = try JSONFile.object(file)
                if object["quant_method"] == nil {
                    object["quant_method"] = .string(object["w_bit"] == nil ? "gptq" : "awq")
                }
                found = .object(object)
                break
            }
        }
        guard !found.isNull else {
            self = .plain
            return
        }
        guard let fields = found.object else {
            throw CheckpointError.wrongField(
                file: file, field: "quantization_config", found: String(found.text().prefix(40)),
                expected: "an object")
        }
        // Newer files leave out the method of compressed-tensors where only `sparsity_config` is set.
        let reader = FieldReader(fields: fields, file: "\(file) (quantization_config)")
        let method = try reader.has("quant_method") ? reader.text("quant_method") : "compressed-tensors"
        switch method {
        case "gptq": self = .gptq(try GPTQ(reader))
        case "awq": self = .awq(groupSize: try QuantizationScheme.awqGroups(reader))
        case "compressed-tensors": self = try QuantizationScheme.compressed(reader, config)
        case "fp8", "fbgemm_fp8": self = try QuantizationScheme.fp8(reader)
        default: throw QuantizationScheme.refused(method, reader)
        }
    }

    private static func refused(_ name: String, _ reader: FieldReader) -> CheckpointError {
        let advice =
            switch name {
            case "bitsandbytes":
                "its codes need that library: load it with transformers, call model.dequantize(), save_pretrained it, "
                    + "and open that folder"
            case "marlin-24", "marlin", "marlin_24":
                "its codes are in the order of a GPU kernel: use the checkpoint it was made from"
            default:
                "use the unquantized folder, a GGUF file, or one of gptq, awq, fp8 and compressed-tensors"
            }
        return .unsupported(file: reader.file, feature: "quantization '\(name)'", advice: advice)
    }

    private static func compressed(_ reader: FieldReader, _ config: JSONObject) throws(CheckpointError)
        -> QuantizationScheme
    {
        let sparse = reader.fields["sparsity_config"] ?? config["sparsity_config"] ?? .null
        guard sparse.isNull || sparse.object != nil else {
            throw reader.wrong("sparsity_config", "an object")
        }
        let sparsity = sparse["format"]?.string ?? "dense"
        var format = try reader.has("format") ? reader.text("format") : "dense"
        if [PackedLayers.maskedFormat, PackedLayers.denseFormat].contains(sparsity) {
            guard format == "dense" else { throw refused(format, reader) }
            // Winnow's own layers; those of masked float16 beside them are in the layout of others.
            return .compressedTensors(CompressedTensors(format: "dense", sparsity: "sparse-bitmask"))
        }
        // Weights that were never compressed.
        if format == "fakequant" || format == "frozen" { format = "dense" }
        let known = ["dense", "pack-quantized", "int-quantized", "naive-quantized", "float-quantized"]
        guard known.contains(format) || format == "mixed-precision" else { throw refused(format, reader) }
        guard ["dense", "sparse-bitmask", "sparse-24-bitmask"].contains(sparsity) else {
            throw refused(sparsity, reader)
        }
        var result = CompressedTensors(format: format, sparsity: sparsity)
        for (name, group) in reader.fields["config_groups"]?.object?.pairs ?? [] {
            if let own = group["format"]?.string, !known.contains(own) { throw refused(own, reader) }
            // A preset's name, `W4A16`, says it all.
            if group.array != nil, name.hasPrefix("W"),
                let bits = Int(name.dropFirst().prefix { $0.isNumber }), (1...16).contains(bits)
            {
                result.bits.insert(bits)
            }
            guard let weights = group["weights"], !weights.isNull else { continue }
            guard let fields = weights.object else {
                throw reader.wrong("config_groups", "an object with weights in '\(name)'")
            }
            let weightReader = FieldReader(
                fields: fields, file: "\(reader.file) (config_groups.\(name).weights)")
            result.bits.insert(try weightReader.integer("num_bits", in: 1...16, absent: 8))
            if weightReader.has("block_structure") {
                result.block = try blockSize("block_structure", weightReader)
            }
        }
        return .compressedTensors(result)
    }

    private static func fp8(_ reader: FieldReader) throws(CheckpointError) -> QuantizationScheme {
        guard reader.has("weight_block_size") else { return .fp8(rows: nil, columns: nil) }
        let size = try blockSize("weight_block_size", reader)
        return .fp8(rows: size[0], columns: size[1])
    }

    /// The rows and columns that a scale covers.
    private static func blockSize(_ key: String, _ reader: FieldReader) throws(CheckpointError) -> [Int] {
        // Older files have a text: 128x128.
        let text = reader.fields[key]?.string?.split(separator: "x", omittingEmptySubsequences: false)
        let sizes =
            text.map { $0.compactMap { Int($0) } } ?? (reader.fields[key]?.array ?? []).compactMap(\.integer)
        guard sizes.count == 2, sizes.allSatisfy({ (1...1 << 31).contains($0) }) else {
            throw reader.wrong(key, "two numbers from 1 to 2147483648")
        }
        return sizes
    }

    private static func awqGroups(_ reader: FieldReader) throws(CheckpointError) -> Int {
        let version = try reader.has("version") ? reader.text("version").lowercased() : "gemm"
        guard version == "gemm" else { throw refused("awq, version \(version)", reader) }
        let bits = reader.has("bits") ? "bits" : "w_bit"
        guard try reader.integer(bits, in: 1...8, absent: 4) == 4 else { throw reader.wrong(bits, "4") }
        return try reader.integer(
            reader.has("group_size") ? "group_size" : "q_group_size", in: -1...1 << 24, absent: 128)
    }
}

extension QuantizationScheme.GPTQ {
    init(_ reader: FieldReader) throws(CheckpointError) {
        let format = try reader.has("checkpoint_format") ? reader.text("checkpoint_format") : "gptq"
        guard ["gptq", "gptq_v2"].contains(format) else {
            throw .unsupported(
                file: reader.file, feature: "GPTQ in the format '\(format)'",
                advice: "use a checkpoint in the format gptq or gptq_v2")
        }
        bits = try reader.integer("bits", in: 1...8)
        guard [2, 3, 4, 8].contains(bits) else { throw reader.wrong("bits", "2, 3, 4 or 8") }
        let size = try reader.integer("group_size", in: -1...1 << 24, absent: 128)
        groupSize = size < 1 ? nil : size
        zerosAreOneLess = format == "gptq"
    }
}
