import WinnowCore
import WinnowText
import WinnowWeights

extension Checkpoint {
    /// Opens a GGUF file.
    package convenience init(gguf storage: Storage, path: String) throws {
        let file = try GGUFFile(parsing: storage, path: path)
        let configuration = try ModelConfiguration(file)
        var names: [String] = []
        var tensors: [String: StoredTensor] = [:]
        for tensor in file.tensors {
            if RopeScaling.divisorTensors.contains(tensor.name) { continue }
            guard let name = configuration.huggingFaceName(gguf: tensor.name) else {
                throw CheckpointError.unexpectedTensor(file: path, tensor: tensor.name)
            }
            names.append(name)
            tensors[name] = try StoredTensor(tensor, path: path)
        }
        try self.init(
            path: path, configuration: configuration, tokenizer: try Checkpoint.tokenizer(file), names: names,
            tensors: tensors, fileBytes: storage.byteCount)
    }

    private static func tokenizer(_ file: GGUFFile) throws -> TokenizerDefinition {
        let prefix = "tokenizer.ggml."
        func required<Value>(_ key: String, _ expected: String, _ value: Value?) throws(GGUFError) -> Value {
            if let value { return value }
            guard let found = file[prefix + key] else {
                throw .missingKey(file: file.path, key: prefix + key, expected: expected)
            }
            throw .wrongValue(file: file.path, key: prefix + key, found: found.summary, expected: expected)
        }
        let model = try required("model", "a text", file[prefix + "model"]?.string)
        let tokens = try required("tokens", "an array of texts", try file.strings(prefix + "tokens"))
        let kinds =
            file[prefix + "token_type"] == nil
            ? [] : try required("token_type", "an array of numbers", try file.integers(prefix + "token_type"))
        let merges =
            file[prefix + "merges"] == nil
            ? [] : try required("merges", "an array of texts", try file.strings(prefix + "merges"))
        do {
            return try TokenizerDefinition(
                ggufModel: model, pre: file[prefix + "pre"]?.string, tokens: tokens,
                kinds: kinds.map { Int32(clamping: $0) }, merges: merges,
                bos: file[prefix + "bos_token_id"]?.integer, eos: file[prefix + "eos_token_id"]?.integer,
                unknown: file[prefix + "unknown_token_id"]?.integer,
                padding: file[prefix + "padding_token_id"]?.integer,
                addsBOS: file[prefix + "add_bos_token"]?.bool, addsEOS: file[prefix + "add_eos_token"]?.bool,
                chatTemplate: file["tokenizer.chat_template"]?.string)
        } catch {
            throw CheckpointError.badTokenizer(file: file.path, reason: error.description)
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
