import WinnowCore
import WinnowText
import WinnowWeights

extension Checkpoint {
    /// Opens a GGUF file, or one of the parts of a model and the others beside it.
    package convenience init(gguf storage: Storage, path: String) throws {
        let parts = try GGUFParts(storage, path: path)
        let file = parts.whole
        let configuration = try ModelConfiguration(file)
        var names: [String] = []
        var tensors: [String: StoredTensor] = [:]
        for (tensor, path) in parts.tensors {
            if RopeScaling.divisorTensors.contains(tensor.name) { continue }
            let keys = configuration.huggingFaceNames(gguf: tensor.name)
            guard !keys.isEmpty else {
                throw CheckpointError.unexpectedTensor(file: path, tensor: tensor.name)
            }
            if let place = configuration.family.names.place(gguf: tensor.name, of: configuration),
                place.role.isExpert
            {
                guard tensor.shape.count == 3, tensor.shape[0] == keys.count else {
                    throw CheckpointError.wrongShape(
                        file: path, tensor: tensor.name, shape: tensor.shape,
                        expected: [keys.count] + configuration.shape(of: place.role, layer: place.layer))
                }
                for (key, part) in zip(keys, tensor.parts) {
                    tensors[key] = try StoredTensor(part, path: path)
                }
            } else {
                tensors[keys[0]] = try StoredTensor(tensor, path: path)
            }
            names += keys
        }
        try self.init(
            path: path, configuration: configuration, tokenizer: try file.tokenizer(), names: names,
            tensors: tensors, fileBytes: parts.byteCount, pooling: try file.pooling)
    }
}

extension GGUFFile {
    /// `pooling_type`; nil where it is absent or none.
    fileprivate var pooling: SentencePooling? {
        get throws {
            guard let name = self["general.architecture"]?.string,
                let type = self["\(name).pooling_type"]?.integer
            else { return nil }
            let modes: [Int: SentencePooling.Mode] = [1: .mean, 2: .cls, 3: .last]
            guard type != 0 else { return nil }
            guard let mode = modes[type] else {
                throw GGUFError.unsupported(
                    file: path, feature: "\(name).pooling_type = \(type)",
                    advice: "use mean, cls or last pooling")
            }
            return SentencePooling(mode: mode, normalizes: true)
        }
    }
}

extension GGUFFile.Tensor {
    /// Each `[rows, columns]` of a tensor of three dimensions, over the same bytes.
    fileprivate var parts: [GGUFFile.Tensor] {
        let count = bytes.byteCount / max(shape[0], 1)
        return (0..<shape[0]).map {
            let part = StorageSlice(bytes.storage, offset: bytes.offset + $0 * count, byteCount: count)
            return GGUFFile.Tensor(name: name, type: type, shape: Array(shape.dropFirst()), bytes: part)
        }
    }
}

extension StoredTensor {
    fileprivate init(_ tensor: GGUFFile.Tensor, path: String) throws(CheckpointError) {
        if tensor.shape.count == 2 {
            let layout = PackedLayers.Layer(
                format: tensor.type.format, rows: tensor.shape[0], columns: tensor.shape[1], group: 0)
            self = .matrix(layout, WeightMatrix.Parts(values: tensor.bytes))
            return
        }
        let dtype: DType
        switch tensor.type.format {
        case .f32: dtype = .f32
        case .f16: dtype = .f16
        case .bf16: dtype = .bf16
        default: throw .unsupportedType(file: path, tensor: tensor.name, type: tensor.type.name)
        }
        self = .vector(Tensor(dtype: dtype, shape: tensor.shape, bytes: tensor.bytes))
    }
}
