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
            guard let name = configuration.huggingFaceName(gguf: tensor.name) else {
                throw CheckpointError.unexpectedTensor(file: path, tensor: tensor.name)
            }
            names.append(name)
            tensors[name] = try StoredTensor(tensor, path: path)
        }
        try self.init(
            path: path, configuration: configuration, tokenizer: try file.tokenizer(), names: names,
            tensors: tensors, fileBytes: parts.byteCount)
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
