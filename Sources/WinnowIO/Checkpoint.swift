import WinnowCore
import WinnowJSON
import WinnowText
import WinnowWeights

/// A model's files, opened: configuration, tokenizer, and tensors in the formats that the files have.
///
/// Opening reads headers and checks that every tensor is there with the shape that the configuration says;
/// weights stay in the mapped files until they are used.
public final class Checkpoint: Sendable {
    public let path: String
    public let configuration: ModelConfiguration
    public let tokenizer: TokenizerDefinition
    /// Hugging Face keys, `model.layers.0.self_attn.q_proj.weight`, in file order.
    public let names: [String]
    /// All files that make the model, on disk.
    public let fileBytes: Int
    /// Winnow's own record beside the model (`winnow.json`): method, calibration, seed, figures.
    public let recipe: JSONObject?
    /// How the model makes vectors of texts; nil where its files do not say.
    public let pooling: SentencePooling?
    /// Files that go along when the model is written again.
    let companions: [CompanionFile]
    private let tensors: [String: StoredTensor]

    /// Opens a folder in Hugging Face layout or a GGUF file; which of them, its content says.
    ///
    /// - Throws: ``CheckpointError``, ``GGUFError``, ``SafetensorsError`` or `FileError`.
    public static func open(_ path: String) throws -> Checkpoint {
        guard FilePath.kind(path) != .folder else { return try Checkpoint(folder: path) }
        let storage = try Storage.mapping(path)
        let start = UnsafeRawBufferPointer(start: storage.base, count: min(storage.byteCount, 16))
        if start.starts(with: "GGUF".utf8) { return try Checkpoint(gguf: storage, path: path) }
        let (folder, name) = FilePath.split(path)
        if let refusal = ForeignFiles.refusal(path, start: start) { throw refusal }
        let reason =
            name.hasSuffix(".safetensors") || name.hasSuffix(".json")
            ? "a file of a model folder, not a model (try \(folder))" : "not a GGUF file"
        throw CheckpointError.notAModel(path: path, reason: reason)
    }

    init(
        path: String, configuration: ModelConfiguration, tokenizer: TokenizerDefinition, names: [String],
        tensors: [String: StoredTensor], fileBytes: Int, recipe: JSONObject? = nil,
        companions: [CompanionFile] = [], pooling: SentencePooling? = nil
    ) throws(CheckpointError) {
        try configuration.checkAttention(file: path)
        // A tied model has no use for a head of its own, which some writers add.
        let used = configuration.tiesEmbeddings ? names.filter { $0 != "lm_head.weight" } : names
        var unvisited = Set(used)
        var tensors = tensors
        try configuration.forEachTensor { expected throws(CheckpointError) in
            guard let stored = tensors[expected.name] else {
                throw .missingTensor(file: path, tensor: expected.name)
            }
            if let reshaped = stored.reshaped(to: expected.shape) {
                tensors[expected.name] = reshaped
            } else {
                throw .wrongShape(
                    file: path, tensor: expected.name, shape: stored.shape, expected: expected.shape)
            }
            unvisited.remove(expected.name)
        }
        if let extra = unvisited.min() { throw .unexpectedTensor(file: path, tensor: extra) }
        self.path = path
        self.configuration = configuration
        do { self.tokenizer = try tokenizer.fitted(to: configuration.vocabularySize) } catch {
            throw .badTokenizer(file: path, reason: error.description)
        }
        self.names = used
        self.tensors = tensors
        self.fileBytes = fileBytes
        self.recipe = recipe
        self.companions = companions
        self.pooling = pooling
    }

    /// What the matrices were that another tool had packed and that are in a format of ours here, by name.
    public var storedFormats: [String: String] {
        tensors.compactMapValues { if case .unpacked(let matrix) = $0 { matrix.source } else { nil } }
    }

    /// One line that says which matrices change their format and into what; nil when every one is as its file has it.
    public var unpackingNotice: String? {
        var counts: [String: Int] = [:]
        for case .unpacked(let matrix) in tensors.values where !matrix.isKept {
            counts["\(matrix.source) as \(matrix.layer.format.name)", default: 0] += 1
        }
        guard !counts.isEmpty else { return nil }
        let kinds = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\($0.value == 1 ? "1 matrix" : "\($0.value) matrices") of \($0.key)" }
        return "loaded in another format: " + kinds.joined(separator: "; ")
    }

    /// Says that weights will be read by other ways than the mapped files, of which norms alone are looked at: the
    /// system then leaves what stands around them on disk.
    public func expectFewReads() {
        var seen = Set<ObjectIdentifier>()
        for tensor in tensors.values {
            let slices: [StorageSlice] =
                switch tensor {
                case .matrix(_, let parts), .transposed(_, let parts), .reordered(_, let parts, _):
                    parts.slices
                case .vector(let vector): [vector.bytes]
                case .unpacked: []
                }
            for storage in slices.map(\.storage) where seen.insert(ObjectIdentifier(storage)).inserted {
                storage.expectFewReads()
            }
        }
    }

    /// Where a tensor is, nothing of it read; nil when there is none of the name.
    func stored(_ name: String) -> StoredTensor? { tensors[name] }

    /// What the folder is called; nil for a GGUF file.
    var folderName: String? { FilePath.kind(path) == .folder ? FilePath.ownName(path) : nil }

    /// A matrix in its file's format, not copied; rows as in the file (``ModelConfiguration/rotaryStyle``).
    public func matrix(_ name: String) throws -> WeightMatrix {
        guard let stored = tensors[name] else {
            throw CheckpointError.noSuchTensor(path: path, tensor: name)
        }
        let (layout, parts): (PackedLayers.Layer, WeightMatrix.Parts)
        switch stored {
        case .matrix(let own, let ownParts): (layout, parts) = (own, ownParts)
        case .transposed(let own, let ownParts): (layout, parts) = own.transposing(ownParts)
        case .unpacked(let own): (layout, parts) = (own.layer, try own.parts())
        case .reordered(let own, let ownParts, _): (layout, parts) = (own, ownParts)
        case .vector: throw CheckpointError.notAMatrix(path: path, tensor: name)
        }
        do {
            let matrix = try WeightMatrix(
                format: layout.format, rows: layout.rows, columns: layout.columns, group: layout.group,
                parts: parts, name: name)
            guard case .reordered(_, _, let order) = stored else { return matrix }
            return try matrix.permutingRows(order)
        } catch let error as WeightError { throw CheckpointError.badWeights(file: path, error: error) }
    }

    /// A norm's weights or a bias, in the type that the file has.
    public func vector(_ name: String) throws -> Tensor {
        guard let stored = tensors[name] else {
            throw CheckpointError.noSuchTensor(path: path, tensor: name)
        }
        guard case .vector(let tensor) = stored else {
            throw CheckpointError.notAVector(path: path, tensor: name)
        }
        return tensor
    }

    /// Whichever of the two it is, for copying a model tensor by tensor.
    public func tensor(_ name: String) throws -> CheckpointTensor {
        if case .vector(let tensor) = tensors[name] { return .vector(tensor) }
        return .matrix(try matrix(name))
    }
}

/// A tensor of a model on its way from or to a checkpoint.
public enum CheckpointTensor: Sendable {
    case matrix(WeightMatrix)
    /// Norms and biases.
    case vector(Tensor)
}

/// Where a tensor is and what it will be.
enum StoredTensor: Sendable {
    case matrix(PackedLayers.Layer, WeightMatrix.Parts)
    case vector(Tensor)
    /// A plain matrix whose file has columns for rows (Conv1D); turned when it is asked for.
    case transposed(PackedLayers.Layer, WeightMatrix.Parts)
    /// A matrix that another tool packed; made when it is asked for.
    case unpacked(UnpackedMatrix)
    /// A matrix whose rows the file has in another order: row i of the model is row `order[i]` of the file.
    case reordered(PackedLayers.Layer, WeightMatrix.Parts, [Int])

    var transposed: StoredTensor {
        if case .matrix(let layout, let parts) = self { .transposed(layout, parts) } else { self }
    }

    var shape: [Int] {
        switch self {
        case .transposed(let layout, _): [layout.columns, layout.rows]
        case .matrix(let layout, _), .reordered(let layout, _, _): [layout.rows, layout.columns]
        case .vector(let tensor): tensor.shape
        case .unpacked(let matrix): [matrix.layer.rows, matrix.layer.columns]
        }
    }

    /// The same with its rows in another order; nil where the order is not one of its rows.
    func reordered(_ order: [Int]) -> StoredTensor? {
        switch self {
        case .matrix(let layout, let parts):
            return layout.rows == order.count ? .reordered(layout, parts, order) : nil
        case .vector(let tensor):
            guard tensor.shape == [order.count], let floats = tensor.floats() else { return nil }
            return .vector(Tensor(order.map { floats[$0] }))
        default: return nil
        }
    }

    /// The same values with another number of dimensions; nil when that is another tensor.
    ///
    /// A matrix of one row may stand as a vector, and one whose rows have dimensions of their own.
    func reshaped(to expected: [Int]) -> StoredTensor? {
        if shape == expected { return self }
        guard case .vector(let tensor) = self, expected.count <= 2, tensor.shape.count != expected.count,
            tensor.count == expected.reduce(1, *),
            tensor.shape.first(where: { $0 != 1 }) == expected.first(where: { $0 != 1 })
        else { return nil }
        if expected.count == 1 {
            return .vector(Tensor(dtype: tensor.dtype, shape: expected, bytes: tensor.bytes))
        }
        guard let format = WeightFormat(plain: tensor.dtype) else { return nil }
        let layout = PackedLayers.Layer(format: format, rows: expected[0], columns: expected[1], group: 0)
        return .matrix(layout, WeightMatrix.Parts(values: tensor.bytes))
    }

    /// Bytes of all its arrays.
    var byteCount: Int {
        switch self {
        case .matrix(_, let parts), .transposed(_, let parts), .reordered(_, let parts, _): parts.byteCount
        case .vector(let tensor): tensor.bytes.byteCount
        case .unpacked(let matrix): matrix.storedBytes
        }
    }

    /// A plain tensor of a safetensors file: a matrix when it has two dimensions.
    init(_ tensor: Tensor, name: String, file: String) throws(CheckpointError) {
        guard let format = WeightFormat(plain: tensor.dtype) else {
            throw .unsupportedType(file: file, tensor: name, type: tensor.dtype.rawValue)
        }
        if tensor.shape.count == 2 {
            let layout = PackedLayers.Layer(
                format: format, rows: tensor.shape[0], columns: tensor.shape[1], group: 0)
            self = .matrix(layout, WeightMatrix.Parts(values: tensor.bytes))
        } else {
            let bytes = tensor.bytes.aligned(to: 4)
            self = .vector(Tensor(dtype: tensor.dtype, shape: tensor.shape, bytes: bytes))
        }
    }
}

extension WeightFormat {
    /// The format of plain floats of a type; nil for others.
    init?(plain type: DType) {
        switch type {
        case .f32: self = .f32
        case .f16: self = .f16
        case .bf16: self = .bf16
        default: return nil
        }
    }
}
