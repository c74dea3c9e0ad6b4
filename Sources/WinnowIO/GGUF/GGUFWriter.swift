import WinnowCore
import WinnowJSON
import WinnowText
import WinnowWeights

/// Writes a GGUF file (version 3) of the Llama family, complete or not at all.
///
/// Tensors are asked for one by one and none is kept. Matrices stay in the format they have, which must be one of
/// GGUF's; vectors become F32. Rows of q and k are always written interleaved, as GGUF has them.
public struct GGUFWriter: Sendable {
    public var path: String
    public var overwrite: Bool

    public init(_ path: String, overwrite: Bool = false) {
        self.path = path
        self.overwrite = overwrite
    }

    /// Writes a checkpoint; `tensor` may give other tensors than its own.
    @discardableResult
    public func write(
        _ source: Checkpoint, tensor: ((String) throws -> CheckpointTensor)? = nil
    ) throws -> CheckpointWriter.Written {
        try write(
            configuration: source.configuration, tokenizer: source.tokenizer, names: source.names,
            fallbackName: source.folderName, tensor: tensor ?? source.tensor)
    }

    /// - Parameter names: Hugging Face keys, in the order to write them.
    /// - Parameter fallbackName: `general.name` where the configuration has none.
    /// - Parameter tensor: called once for each name; q and k in the row order that `configuration` says.
    /// - Throws: ``CheckpointError/notWritable(tensor:format:into:)`` for a format that GGUF has not, what `tensor`
    ///   throws, `FileError`.
    @discardableResult
    public func write(
        configuration: ModelConfiguration, tokenizer: TokenizerDefinition, names: [String],
        fallbackName: String? = nil, tensor: (String) throws -> CheckpointTensor
    ) throws -> CheckpointWriter.Written {
        if let obstacle = configuration.ggufObstacle {
            throw CheckpointError.unsupported(
                file: path, feature: "\(obstacle) in a GGUF file", advice: "write a folder")
        }
        try tokenizer.checkCanBeWritten(to: path)
        if let obstacle = tokenizer.ggufObstacle {
            throw CheckpointError.unsupported(
                file: path, feature: "a tokenizer with \(obstacle) in a GGUF file", advice: "write a folder")
        }
        let output = try AtomicOutput(path, .file, overwrite: overwrite)
        let file = try OutputFile(output.partialPath)
        let shapes = configuration.tensorShapes
        var entries: [Entry] = []
        var joined = Set<String>()
        for name in names {
            let ggufName = configuration.ggufName(name)
            // The tensors of a block's experts are one, where the first of them stands.
            if let ggufName, joined.contains(ggufName) { continue }
            let experts = configuration.expertNames(with: name)
            if !experts.isEmpty, let ggufName { joined.insert(ggufName) }
            entries.append(
                try Entry(name, ggufName: ggufName, shape: shapes[name], experts: experts, path: path))
        }
        let own = configuration.rope.ggufTensors(headWidth: configuration.headWidth)
        entries += try own.map {
            try Entry($0.name, ggufName: $0.name, shape: [$0.values.count], path: path)
        }
        let metadata = GGUFMetadata(
            configuration, tokenizer, vocabulary: configuration.vocabularySize, fallbackName: fallbackName)
        let alignment = 32

        // Nothing in the head changes its length, so it is written twice: first to keep its place.
        let head = GGUFBytes.head(metadata, entries, fileType: 0)
        try file.append(head)
        try file.append(count: -head.count & (alignment - 1))
        let dataStart = file.byteCount
        var weights: [UInt32: Int] = [:]
        for index in entries.indices {
            entries[index].offset = file.byteCount - dataStart
            let name = entries[index].name
            let made = own.first { $0.name == name }
            let value = try made.map { .vector(Tensor($0.values)) } ?? tensor(name)
            let (type, bytes) = try stored(entries[index], value, configuration)
            entries[index].type = type
            try file.append(bytes)
            for other in entries[index].experts.dropFirst() {
                let (otherType, bytes) = try stored(entries[index], try tensor(other), configuration)
                guard otherType.code == type.code else {
                    throw CheckpointError.notWritable(
                        tensor: other, format: otherType.name, into: "a tensor of \(type.name) experts")
                }
                try file.append(bytes)
            }
            let count = file.byteCount - dataStart - entries[index].offset
            if entries[index].dimensions.count > 1 { weights[type.code, default: 0] += count }
            try file.append(count: -count & (alignment - 1))
        }
        let most = weights.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? 0
        try file.replace(
            at: 0, with: GGUFBytes.head(metadata, entries, fileType: GGUFMetadata.fileType(of: most)))
        try file.finish()

        // What was written must be a model before it takes the place of one.
        let written = try Checkpoint.open(output.partialPath)
        try output.commit()
        return CheckpointWriter.Written(
            path: output.path, bytes: written.fileBytes, removedStale: output.removedStale)
    }

    /// What the last steps hold: the tokenizer that was written is read back, about 96 bytes for each entry.
    static func checkingBytes(_ configuration: ModelConfiguration) -> Int {
        configuration.vocabularySize * 96
    }

    struct Entry {
        let name: String
        let ggufName: String
        /// The keys of all experts whose matrices make the tensor; empty for others.
        let experts: [String]
        /// Of one matrix or vector, outermost first.
        let shape: [Int]
        /// Outermost first.
        var dimensions: [Int] {
            // A matrix of one row is a vector here.
            if shape.count == 2, shape[0] == 1 { return [shape[1]] }
            return experts.isEmpty ? shape : [experts.count] + shape
        }
        var type = GGMLType.supported[0]
        var offset = 0

        init(
            _ name: String, ggufName: String?, shape: [Int]?, experts: [String] = [], path: String
        ) throws(CheckpointError) {
            guard let ggufName, let shape else {
                throw .unexpectedTensor(file: path, tensor: name)
            }
            self.name = name
            self.ggufName = ggufName
            self.shape = shape
            self.experts = experts
        }
    }

    private func stored(
        _ entry: Entry, _ tensor: CheckpointTensor, _ configuration: ModelConfiguration
    ) throws -> (GGMLType, StorageSlice) {
        switch tensor {
        case .vector(let vector):
            guard vector.shape == entry.shape else {
                throw CheckpointError.wrongShape(
                    file: path, tensor: entry.name, shape: vector.shape, expected: entry.shape)
            }
            let f32 = GGMLType.supported[0]
            let vector = try configuration.vector(vector, entry.name, intoFolder: false)
            if vector.dtype == .f32 { return (f32, vector.bytes) }
            guard let floats = vector.floats() else {
                throw CheckpointError.unsupportedType(
                    file: path, tensor: entry.name, type: vector.dtype.rawValue)
            }
            return (f32, StorageSlice(copying: floats))
        case .matrix(var matrix):
            guard [matrix.rows, matrix.columns] == entry.shape else {
                throw CheckpointError.wrongShape(
                    file: path, tensor: entry.name, shape: [matrix.rows, matrix.columns],
                    expected: entry.shape)
            }
            guard let type = GGMLType.with(format: matrix.format) else {
                throw CheckpointError.notWritable(
                    tensor: entry.name, format: matrix.format.name, into: "GGUF")
            }
            if configuration.rotaryStyle == .halves, let heads = configuration.rotaryHeads(of: entry.name) {
                matrix = try matrix.permutingRows(
                    rotaryRowOrder(
                        heads: heads, headWidth: configuration.headWidth, from: .halves, to: .interleaved))
            }
            return (type, matrix.parts.values)
        }
    }
}
