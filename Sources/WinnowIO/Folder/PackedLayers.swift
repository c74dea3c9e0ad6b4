import WinnowCore
import WinnowJSON
import WinnowWeights

/// How a folder's packed matrices are written down: `config.json` names the format and the shape of each, the
/// safetensors files hold its arrays under the suffixes of ``Part``.
///
/// Matrices of masked float16 are written as compressed-tensors' `sparse-bitmask`, which that package opens
/// (``addSparse(_:)``); ``ForeignLayers`` reads them. The arrays of the others have its names, with
/// departures: rows
/// of the mask are whole 64-bit words, row offsets are bytes and end with the total, and `.values` ends with
/// up to 63
/// zeros, so that what follows is aligned.
struct PackedLayers {
    static let version = 1
    static let maskedFormat = "winnow-bitmask"
    static let denseFormat = "winnow-packed"

    enum Part: String, CaseIterable {
        case bitmask = ".bitmask"
        case shape = ".shape"
        case rowOffsets = ".row_offsets"
        case scales = ".scales"
        case values = ".values"
    }

    struct Layer: Equatable {
        let format: WeightFormat
        let rows: Int
        let columns: Int
        let group: Int
    }

    private(set) var names: [String] = []
    private var layers: [String: Layer] = [:]

    init() {}

    subscript(name: String) -> Layer? { layers[name] }

    /// Weights of the matrices in `sparse-bitmask`, and how many of them are kept.
    private var sparseCount = 0
    private var sparseKept = 0

    var isEmpty: Bool { names.isEmpty && sparseCount == 0 }

    /// A matrix that stands in the files as `sparse-bitmask`.
    mutating func addSparse(_ matrix: WeightMatrix) {
        sparseCount += matrix.count
        sparseKept += matrix.parts.values.byteCount / (matrix.format.codeBits / 8)
    }

    mutating func add(_ name: String, _ matrix: WeightMatrix) {
        names.append(name)
        layers[name] = Layer(
            format: matrix.format, rows: matrix.rows, columns: matrix.columns, group: matrix.group)
    }

    // MARK: config.json

    /// - Throws: ``CheckpointError`` for an entry that makes no sense.
    init(_ config: JSONObject, file: String) throws(CheckpointError) {
        guard let winnow = config["winnow"], !winnow.isNull else { return }
        guard winnow["version"]?.integer == PackedLayers.version else {
            throw .wrongField(
                file: file, field: "winnow.version", found: (winnow["version"] ?? .null).text(),
                expected: "\(PackedLayers.version): was the folder made by a newer Winnow?")
        }
        for (name, value) in winnow["layers"]?.object?.pairs ?? [] {
            let field = "winnow.layers.\(name)"
            guard let entry = value.object else {
                throw .wrongField(file: file, field: field, found: String(value.text().prefix(40)), expected: "an object")
            }
            let reader = FieldReader(fields: entry, file: "\(file) (\(field))")
            let formatName = try reader.text("format")
            guard let format = WeightFormats.named(formatName) else {
                throw .unknownFormat(file: file, tensor: name, format: formatName)
            }
            layers[name] = Layer(
                format: format, rows: try reader.integer("rows", in: 1...1 << 31),
                columns: try reader.integer("columns", in: 1...1 << 24),
                group: try reader.integer("group", in: 0...1 << 24, absent: 0))
            names.append(name)
        }
    }

    /// `config` with what these layers need, and without what an earlier writer said of others.
    func written(into config: JSONObject, _ metadata: GeneralMetadata) -> JSONObject {
        var config = config
        for key in ["quantization_config", "compression_config", "winnow"] { config[key] = nil }
        var winnow = JSONObject([("version", .integer(Int64(PackedLayers.version)))])
        winnow["metadata"] = metadata.json
        guard !isEmpty else {
            if winnow.count > 1 { config["winnow"] = .object(winnow) }
            return config
        }
        guard !names.isEmpty else {
            config["quantization_config"] = [
                "quant_method": "compressed-tensors",
                "sparsity_config": [
                    "format": "sparse-bitmask",
                    "targets": ["Linear"],
                    "ignore": [],
                    "sparsity_structure": "unstructured",
                    "global_sparsity": .number(1 - Double(sparseKept) / Double(sparseCount)),
                ],
            ]
            if winnow.count > 1 { config["winnow"] = .object(winnow) }
            return config
        }
        let isMasked = sparseCount > 0 || layers.values.contains { $0.format.isMasked }
        config["quantization_config"] = [
            "quant_method": "compressed-tensors",
            "format": "dense",
            "sparsity_config": [
                "format": .string(isMasked ? PackedLayers.maskedFormat : PackedLayers.denseFormat),
                "targets": ["Linear"],
                "ignore": [],
                "sparsity_structure": isMasked ? "unstructured" : "dense",
            ],
        ]
        var map = JSONObject()
        for name in names {
            let layer = layers[name]!
            var entry = JSONObject([
                ("format", .string(layer.format.name)), ("rows", .integer(Int64(layer.rows))),
                ("columns", .integer(Int64(layer.columns))),
            ])
            if layer.group > 0 { entry["group"] = .integer(Int64(layer.group)) }
            map[name] = .object(entry)
        }
        winnow["layers"] = .object(map)
        config["winnow"] = .object(winnow)
        return config
    }

    // MARK: Tensors

    /// The arrays of a matrix, in the order that keeps each aligned; `.values` filled up to whole 64 bytes.
    static func parts(of matrix: WeightMatrix) -> [(part: Part, dtype: DType, shape: [Int], bytes: StorageSlice)] {
        var result: [(Part, DType, [Int], StorageSlice)] = []
        if let mask = matrix.parts.mask {
            result.append((.bitmask, .u8, [matrix.rows, mask.byteCount / matrix.rows], mask))
            let shape = [Int64(matrix.rows), Int64(matrix.columns)]
            result.append((.shape, .i64, [2], StorageSlice(copying: shape)))
        }
        if let offsets = matrix.parts.rowOffsets {
            result.append((.rowOffsets, .u32, [matrix.rows + 1], offsets))
        }
        if let scales = matrix.parts.scales, scales.byteCount > 0 {
            let dtype: DType = matrix.format.scales == .row ? .f32 : .f16
            let perRow = scales.byteCount / dtype.byteCount / matrix.rows
            result.append((.scales, dtype, dtype == .f32 ? [matrix.rows] : [matrix.rows, perRow], scales))
        }
        let values = matrix.parts.values
        result.append((.values, .u8, [(values.byteCount + 63) / 64 * 64], values))
        return result
    }

    /// The arrays of a matrix of masked float16 in `sparse-bitmask`, their names after the module's.
    static func sparseParts(of matrix: WeightMatrix) -> [(part: String, tensor: Tensor)] {
        let (rows, columns) = (matrix.rows, matrix.columns)
        guard let mask = matrix.parts.mask, let offsets = matrix.parts.rowOffsets else {
            preconditionFailure("\(matrix.format.name) has no mask")
        }
        let (stride, rowBytes) = (mask.byteCount / rows, (columns + 7) / 8)
        let bits = Storage(byteCount: rows * rowBytes) { out in
            for row in 0..<rows {
                UnsafeMutableRawBufferPointer(rebasing: out[row * rowBytes..<(row + 1) * rowBytes]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: mask.bytes[row * stride..<row * stride + rowBytes]))
            }
        }
        let starts = (0..<rows).map {
            Int64(offsets.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) / 2)
        }
        let values = matrix.parts.values
        return [
            ("bitmask", Tensor(dtype: .u8, shape: [rows, rowBytes], bytes: StorageSlice(bits))),
            ("compressed", Tensor(dtype: .f16, shape: [values.byteCount / 2], bytes: values)),
            ("row_offsets", Tensor(dtype: .i64, shape: [rows], bytes: StorageSlice(copying: starts))),
            ("shape", Tensor(dtype: .i64, shape: [2], bytes: StorageSlice(copying: [Int64(rows), Int64(columns)]))),
        ]
    }

    /// The arrays of a layer as the kernels want them: a view of the file where it is aligned.
    ///
    /// - Parameter find: a tensor by its whole name.
    func stored(
        _ name: String, file: String, find: (String) -> Tensor?
    ) throws(CheckpointError) -> WeightMatrix.Parts {
        guard let layer = layers[name] else { throw .missingTensor(file: file, tensor: name) }
        func tensor(_ part: Part, _ dtype: DType) throws(CheckpointError) -> StorageSlice {
            guard let tensor = find(name + part.rawValue) else {
                throw .missingTensor(file: file, tensor: name + part.rawValue)
            }
            guard tensor.dtype == dtype else {
                throw .unsupportedType(file: file, tensor: name + part.rawValue, type: tensor.dtype.rawValue)
            }
            return tensor.bytes
        }
        var values = try tensor(.values, .u8)
        var used = layer.rows * layer.format.rowBytes(columns: layer.columns)
        var parts = WeightMatrix.Parts(values: values)
        if layer.format.isMasked {
            parts.mask = try tensor(.bitmask, .u8).aligned(to: 8)
            let offsets = try tensor(.rowOffsets, .u32)
            parts.rowOffsets = offsets.aligned(to: 4)
            let last = offsets.byteCount - 4
            used = last >= 0 ? Int(offsets.bytes.loadUnaligned(fromByteOffset: last, as: UInt32.self)) : 0
            let shape = try tensor(.shape, .i64)
            let sizes = [Int64(layer.rows), Int64(layer.columns)]
            guard sizes.withUnsafeBytes({ $0.elementsEqual(shape.bytes) }) else {
                throw .wrongField(
                    file: file, field: name + Part.shape.rawValue, found: "another shape",
                    expected: "[\(layer.rows), \(layer.columns)] as in config.json")
            }
        }
        if layer.format.scaleBytes(rows: layer.rows, columns: layer.columns, group: max(layer.group, 1)) > 0 {
            let dtype: DType = layer.format.scales == .row ? .f32 : .f16
            parts.scales = try tensor(.scales, dtype).aligned(to: dtype.byteCount)
        }
        // What fills the last 64 bytes is not the matrix's.
        if values.byteCount - used > 0, values.byteCount - used < 64 {
            values = StorageSlice(values.storage, offset: values.offset, byteCount: used)
        }
        parts.values = values
        return parts
    }
}

extension StorageSlice {
    /// The same bytes at a multiple of `alignment` in memory: a copy only where they are not.
    func aligned(to alignment: Int) -> StorageSlice {
        guard Int(bitPattern: base) % alignment != 0 else { return self }
        return StorageSlice(Storage(byteCount: byteCount) { $0.copyMemory(from: bytes) })
    }
}
