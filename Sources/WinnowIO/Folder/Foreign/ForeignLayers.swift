import WinnowCore
import WinnowJSON
import WinnowWeights

/// The matrices of a folder that another tool packed, put together from their tensors.
struct ForeignLayers {
    /// Stored names that belong to a matrix, with the name of the matrix; nil for what nothing here reads.
    private(set) var owners: [String: String?] = [:]
    private(set) var matrices: [String: UnpackedMatrix] = [:]

    /// - Throws: ``CheckpointError`` for parts that do not make a matrix.
    init(_ scheme: QuantizationScheme, _ folder: ModelFolder) throws {
        let parts = ForeignLayers.parts(of: scheme)
        var modules: [String: ForeignParts] = [:]
        // What says that a matrix is packed; its other parts have names that plain tensors have too.
        for stored in folder.names {
            for part in parts.defining where stored.hasSuffix("." + part) {
                let module = ForeignLayers.module(stored.dropLast(part.utf8.count + 1))
                if modules[module] == nil { modules[module] = ForeignParts(module) }
            }
            // Bytes in floating point are weights even where no scale is.
            if let tensor = folder.tensors[stored]?.tensor, tensor.dtype.isByteFloat,
                tensor.shape.count == 2, stored.hasSuffix(".weight")
            {
                let module = String(stored.dropLast(".weight".utf8.count))
                if modules[module] == nil { modules[module] = ForeignParts(module) }
            }
        }
        // Weights that only keep the scales they were trained with are what they are.
        for module in modules.keys {
            guard let plain = folder.tensors[module + ".weight"]?.tensor.dtype,
                [.f32, .f16, .bf16].contains(plain),
                !["qweight", "weight_packed", "compressed", "weight.compressed"].contains(where: {
                    folder.tensors["\(module).\($0)"] != nil
                })
            else { continue }
            modules[module] = nil
            for part in parts.all where part != "weight" {
                if folder.tensors["\(module).\(part)"] != nil { owners["\(module).\(part)"] = .some(nil) }
            }
        }
        guard !modules.isEmpty else { return }
        for stored in folder.names {
            guard let dot = stored.lastIndex(of: ".") else { continue }
            let part = String(stored[stored.index(after: dot)...])
            if parts.ignored.contains(part) {
                owners[stored] = .some(nil)
                continue
            }
            let module = ForeignLayers.module(stored[..<dot])
            guard parts.all.contains(part), modules[module] != nil else { continue }
            let (tensor, file) = folder.tensors[stored]!
            try modules[module]!.add(part, tensor, file: file)
            owners[stored] = module + ".weight"
        }
        let floatFormat = ForeignLayers.floatFormat(folder.config)
        for (module, parts) in modules {
            if parts.has("weight"),
                let other = ["weight_packed", "qweight", "compressed"].first(where: parts.has)
            {
                throw parts.wrong("weight", "is stored twice: as it is and as \(other)")
            }
            matrices[module + ".weight"] = try ForeignLayers.matrix(scheme, parts, floatFormat)
        }
    }

    private static func matrix(
        _ scheme: QuantizationScheme, _ parts: ForeignParts, _ floatFormat: WeightFormat
    ) throws -> UnpackedMatrix {
        switch scheme {
        case .gptq(let gptq) where parts.has("qweight"): return try parts.gptq(gptq)
        case .awq(let groupSize) where parts.has("qweight"): return try parts.awq(groupSize: groupSize)
        case .compressedTensors(let own):
            if parts.has("weight_packed") { return try parts.packed(own) }
            if parts.has("weight_scale") {
                return try parts.scaledBytes(own.format, scale: "weight_scale", block: own.block)
            }
            if parts.has("compressed") { return try parts.sparse(own.sparsity) }
        case .fp8(let rows, let columns):
            let scale = ["weight_scale_inv", "weight_scale"].first(where: parts.has)
            let block = rows.flatMap { rows in columns.map { [rows, $0] } }
            if scale != nil {
                return try parts.scaledBytes(nil, scale: scale, block: block, floatFormat: floatFormat)
            }
        default: break
        }
        return try parts.scaledBytes(nil, scale: nil, block: nil)
    }

    /// What the model computes in, as `config.json` says: what transformers gives weights without a type of
    /// their own.
    private static func floatFormat(_ config: JSONObject) -> WeightFormat {
        switch (config["dtype"] ?? config["torch_dtype"])?.string {
        case "float16": .f16
        case "float32": .f32
        default: .bf16
        }
    }

    /// Old writers of sparse formats keep the last part of the weight's own name.
    private static func module(_ stem: Substring) -> String {
        String(stem.hasSuffix(".weight") ? stem.dropLast(".weight".utf8.count) : stem)
    }

    private static func parts(
        of scheme: QuantizationScheme
    ) -> (defining: [String], all: Set<String>, ignored: Set<String>) {
        // Activations are not quantized as the checkpoint says, but as the run is asked to.
        let activations: Set = [
            "input_scale", "input_zero_point", "input_global_scale", "output_scale", "output_zero_point",
            "k_scale",
            "v_scale", "activation_scale",
        ]
        switch scheme {
        case .plain: return ([], ["weight"], [])
        case .gptq, .awq: return (["qweight"], ["qweight", "qzeros", "scales", "g_idx", "weight"], [])
        case .compressedTensors:
            return (
                ["weight_packed", "weight_scale", "compressed"],
                [
                    "weight", "weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx",
                    "weight_shape",
                    "compressed", "bitmask", "shape", "row_offsets",
                ], activations
            )
        case .fp8:
            return (
                ["weight_scale_inv", "weight_scale"], ["weight", "weight_scale_inv", "weight_scale"],
                activations
            )
        }
    }
}

extension DType {
    /// Numbers in floating point of eight bits.
    var isByteFloat: Bool { self == .f8e4m3 || self == .f8e5m2 }
}
