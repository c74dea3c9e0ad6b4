import WinnowCore
import WinnowJSON
import WinnowWeights

/// Matrices of a folder in the layouts of compressed-tensors: int8 as `int-quantized`, int4 as `pack-quantized`.
///
/// Weights alone: what a run does with its inputs is not written down. Both are symmetric; the codes and scales are
/// Winnow's own, so nothing is rounded, and what opens them (``ForeignLayers`` here) has the same values.
struct QuantizedLayers {
    private struct Scheme: Hashable {
        let format: WeightFormat
        /// Columns that share a scale; 0: one scale a row.
        let group: Int

        var layout: String { format == .int8 ? "int-quantized" : "pack-quantized" }
    }

    /// Modules of each scheme, in the order of the files.
    private var schemes: [(scheme: Scheme, modules: [String])] = []
    private var plain: [String] = []

    var isEmpty: Bool { schemes.isEmpty }

    static func holds(_ format: WeightFormat) -> Bool { format == .int8 || format == .int4 }

    /// A matrix that stands in the files as plain numbers.
    mutating func addPlain(_ name: String) { plain.append(QuantizedLayers.module(name)) }

    /// The arrays of a matrix, their names after the module's.
    ///
    /// - Throws: ``CheckpointError/unsupported(file:feature:advice:)`` for groups that don't divide the columns.
    mutating func add(
        _ name: String, _ matrix: WeightMatrix, file: String
    ) throws(CheckpointError) -> [(name: String, tensor: Tensor)] {
        let module = QuantizedLayers.module(name)
        let scheme = Scheme(format: matrix.format, group: matrix.format == .int4 ? matrix.group : 0)
        guard scheme.group == 0 || matrix.columns % scheme.group == 0 else {
            throw .unsupported(
                file: file,
                feature: "\(name): int4 in groups of \(scheme.group) for \(matrix.columns) columns",
                advice: "quantize in groups that divide them, or with --format int8")
        }
        if let place = schemes.firstIndex(where: { $0.scheme == scheme }) {
            schemes[place].modules.append(module)
        } else {
            schemes.append((scheme, [module]))
        }
        let (rows, columns) = (matrix.rows, matrix.columns)
        guard let scales = matrix.parts.scales else {
            preconditionFailure("\(name): \(matrix.format.name) without scales")
        }
        if scheme.format == .int8 {
            return [
                ("\(module).weight", Tensor(dtype: .i8, shape: [rows, columns], bytes: matrix.parts.values)),
                ("\(module).weight_scale", Tensor(dtype: .f32, shape: [rows, 1], bytes: scales)),
            ]
        }
        // A nibble a column, the first one lowest, eight in a word: our bytes in their order. Both have 8 for zero.
        let shape = [Int64(rows), Int64(columns)]
        return [
            (
                "\(module).weight_packed",
                Tensor(dtype: .i32, shape: [rows, columns / 8], bytes: matrix.parts.values)
            ),
            (
                "\(module).weight_scale",
                Tensor(dtype: .f16, shape: [rows, columns / scheme.group], bytes: scales)
            ),
            ("\(module).weight_shape", Tensor(dtype: .i64, shape: [2], bytes: StorageSlice(copying: shape))),
        ]
    }

    private static func module(_ name: String) -> String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".utf8.count)) : name
    }

    /// `config` with what says how the matrices are packed.
    func written(into config: JSONObject) -> JSONObject {
        guard !isEmpty else { return config }
        var groups = JSONObject()
        for (number, entry) in schemes.enumerated() {
            let scheme = entry.scheme
            var weights = JSONObject([
                ("num_bits", .integer(Int64(scheme.format.codeBits))), ("type", "int"), ("symmetric", true),
                ("strategy", scheme.group == 0 ? "channel" : "group"), ("dynamic", false),
            ])
            if scheme.group > 0 { weights["group_size"] = .integer(Int64(scheme.group)) }
            groups["group_\(number)"] = [
                // Of several schemes each names its modules.
                "targets": schemes.count == 1 ? ["Linear"] : .array(entry.modules.map { .string($0) }),
                "weights": .object(weights), "input_activations": .null, "output_activations": .null,
                "format": .string(scheme.layout),
            ]
        }
        let layouts = Set(schemes.map(\.scheme.layout))
        var config = config
        config["quantization_config"] = [
            "quant_method": "compressed-tensors",
            "format": .string(layouts.count == 1 ? schemes[0].scheme.layout : "mixed-precision"),
            "quantization_status": "compressed",
            "config_groups": .object(groups),
            // A tied head is a linear of the model, though no tensor of the files.
            "ignore": .array(
                (plain + (plain.contains("lm_head") ? [] : ["lm_head"])).map { .string($0) }),
        ]
        return config
    }
}
