import WinnowCore
import WinnowJSON
import WinnowText
import WinnowWeights

/// Writes a model folder in Hugging Face layout, complete or not at all.
///
/// Tensors are asked for one by one and none is kept, so a second model never sits in memory. Rows of q and k are
/// always written as Hugging Face has them. Plain floats become `NAME.weight`, which transformers opens; packed
/// formats keep their arrays, under the names of `Documentation/formats.md`.
public struct CheckpointWriter: Sendable {
    public var path: String
    public var overwrite: Bool
    /// A file ends before the tensor that would make it larger.
    public var maxShardBytes: Int
    /// Writes int8 and int4 in the layouts of compressed-tensors, not in Winnow's own.
    var quantizesForOthers = false
    /// Texts to keep beside the model, under their file names.
    public var notes: [(name: String, text: String)] = []

    public init(_ path: String, overwrite: Bool = false, maxShardBytes: Int = 5_000_000_000) {
        self.path = path
        self.overwrite = overwrite
        self.maxShardBytes = maxShardBytes
    }

    /// What was written.
    public struct Written: Sendable, Equatable {
        public let path: String
        /// All files that make the model, on disk.
        public let bytes: Int
        /// What interrupted processes had left beside the output.
        public let removedStale: [String]
    }

    /// Writes a model that is made of parts.
    ///
    /// - Parameter names: Hugging Face keys, in the order to write them.
    /// - Parameter recipe: what made the model, kept as `winnow.json` beside it.
    /// - Parameter tensor: called once for each name; q and k in the row order that `configuration` says.
    /// - Throws: what `tensor` throws; ``CheckpointError`` when the tensors do not make the model; `FileError`.
    @discardableResult
    public func write(
        configuration: ModelConfiguration, tokenizer: TokenizerDefinition, names: [String],
        recipe: JSONObject? = nil, tensor: (String) throws -> CheckpointTensor
    ) throws -> Written {
        try write(
            configuration: configuration, tokenizer: tokenizer, companions: [], names: names, recipe: recipe,
            tensor: tensor)
    }

    /// Writes `source` with other tensors: its tokenizer files and licence go with it, byte for byte.
    ///
    /// - Parameter tensor: called once for each of the source's names; without it the tensors stay as they are.
    @discardableResult
    public func write(
        _ source: Checkpoint, recipe: JSONObject? = nil, tensor: ((String) throws -> CheckpointTensor)? = nil
    ) throws -> Written {
        try write(
            configuration: source.configuration, tokenizer: source.tokenizer, companions: source.companions,
            names: source.names, recipe: recipe ?? source.recipe, tensor: tensor ?? source.tensor)
    }

    /// What the last steps hold: the tokenizer that was written is read back as JSON, about 256 bytes for
    /// each of its entries.
    public static func checkingBytes(_ configuration: ModelConfiguration) -> Int {
        configuration.vocabularySize * 256
    }

    private func write(
        configuration: ModelConfiguration, tokenizer: TokenizerDefinition, companions: [CompanionFile],
        names: [String], recipe: JSONObject?, tensor: (String) throws -> CheckpointTensor
    ) throws -> Written {
        let output = try AtomicOutput(path, .folder, overwrite: overwrite)
        let folder = output.partialPath
        var shards = ShardedTensors(
            folder: folder, path: path, names: names, maxShardBytes: max(maxShardBytes, 1))
        let family = configuration.family
        shards.writesBitmasks = !family.transposesLinears && !family.interleavesQueryKeyValue
        shards.quantizesForOthers = quantizesForOthers
        if quantizesForOthers, !shards.writesBitmasks || configuration.traits.experts != nil {
            throw CheckpointError.unsupported(
                file: path, feature: "\(family.className) in the layouts of compressed-tensors",
                advice: "its linears are stored turned, joined or as experts; convert it --to dense")
        }
        for name in names {
            switch try tensor(name) {
            case .vector(let vector):
                let own = try configuration.vector(vector, name, intoFolder: true)
                let shape = configuration.folderShape(of: name) ?? own.shape
                try shards.append(name, Tensor(dtype: own.dtype, shape: shape, bytes: own.bytes))
            case .matrix(let matrix):
                var matrix = matrix
                if configuration.rotaryStyle == .interleaved, let heads = configuration.rotaryHeads(of: name)
                {
                    let order = rotaryRowOrder(
                        heads: heads, headWidth: configuration.headWidth, from: .interleaved, to: .halves)
                    guard order.count == matrix.rows else {
                        throw CheckpointError.wrongShape(
                            file: path, tensor: name, shape: [matrix.rows, matrix.columns],
                            expected: [order.count, configuration.width])
                    }
                    matrix = try matrix.permutingRows(order)
                }
                if let order = configuration.folderRowOrder(of: name) {
                    matrix = try matrix.permutingRows(order.inverse)
                }
                // Packed layers are always `[outputs, inputs]`.
                let turns = configuration.family.transposesLinears && configuration.isBlockLinear(name)
                try shards.append(
                    name, turns && matrix.format.isPlain ? matrix.transposed() : matrix,
                    shape: configuration.folderShape(of: name))
            }
        }
        try shards.finish()

        func write(_ object: JSONObject, _ name: String) throws {
            try OutputFile.write(JSONValue.object(object).text(indent: 2) + "\n", to: "\(folder)/\(name)")
        }
        let config = shards.quantized.written(
            into: configuration.configJSON(packed: shards.packed, floatType: shards.floatType))
        try write(config, "config.json")
        let padding = tokenizer.paddingID.map { Int($0) }
        try write(configuration.generationJSON(padding: padding), "generation_config.json")
        let copied = Set(companions.map(\.name))
        for companion in companions {
            if let slash = companion.name.firstIndex(of: "/") {
                try FilePath.makeFolder("\(folder)/\(companion.name[..<slash])")
            }
            let file = try OutputFile("\(folder)/\(companion.name)")
            try file.append(companion.bytes)
            try file.finish()
        }
        let isTokenized = !copied.isDisjoint(with: ["tokenizer.json"] + ModelFolder.tokenizerModels)
        if !isTokenized, configuration.traits.image == nil { try writeTokenizer(tokenizer, folder: folder) }
        if let recipe { try write(recipe, "winnow.json") }
        for note in notes { try OutputFile.write(note.text, to: "\(folder)/\(note.name)") }

        // What was written must be a model before it takes the place of one.
        let written = try Checkpoint.open(folder)
        try output.commit()
        return Written(path: output.path, bytes: written.fileBytes, removedStale: output.removedStale)
    }

    private func writeTokenizer(_ tokenizer: TokenizerDefinition, folder: String) throws {
        try tokenizer.checkCanBeWritten(to: path)
        let configuration = tokenizer.tokenizerConfiguration()
        try OutputFile.write(tokenizer.tokenizerJSON().text(), to: "\(folder)/tokenizer.json")
        try OutputFile.write(configuration.text(indent: 2) + "\n", to: "\(folder)/tokenizer_config.json")
        var special = JSONObject()
        for key in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            if let token = configuration[key] { special[key] = token }
        }
        try OutputFile.write(
            JSONValue.object(special).text(indent: 2) + "\n", to: "\(folder)/special_tokens_map.json")
    }
}

/// A file that goes from folder to folder as it is.
struct CompanionFile: Sendable {
    let name: String
    let bytes: StorageSlice

    static let names = [
        "tokenizer.json", "tokenizer.model", "tiktoken.model", "qwen.tiktoken", "tokenizer_config.json",
        "special_tokens_map.json", "chat_template.jinja", "added_tokens.json", "vocab.json", "merges.txt",
        "vocab.txt",
        "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE", "preprocessor_config.json", "modules.json",
        "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json",
    ]
}

/// The safetensors files of a folder, one after another.
private struct ShardedTensors {
    let folder: String
    /// What errors call it.
    let path: String
    let maxShardBytes: Int
    private(set) var packed = PackedLayers()
    private(set) var quantized = QuantizedLayers()
    /// What `config.json` calls the type of the plain matrices; nil when all are packed.
    private(set) var floatType: String?
    /// Whether masked float16 is written as `sparse-bitmask`, which has no place for matrices that stand turned.
    var writesBitmasks = true
    /// Whether int8 and int4 are written as other tools quantize.
    var quantizesForOthers = false
    private var remaining: [String]
    private var seen = Set<String>()
    private var writer: SafetensorsWriter?
    private var shards: [[String]] = []
    private var totalBytes = 0

    init(folder: String, path: String, names: [String], maxShardBytes: Int) {
        self.folder = folder
        self.path = path
        self.maxShardBytes = maxShardBytes
        remaining = names.reversed()
    }

    mutating func append(_ name: String, _ vector: Tensor) throws {
        guard vector.shape.count <= 4 else {
            throw CheckpointError.wrongShape(
                file: folder, tensor: name, shape: vector.shape, expected: [vector.count])
        }
        let writer = try begin(name, bytes: vector.bytes.byteCount)
        try writer.append(name, vector)
        record(name)
        remaining.removeLast()
    }

    /// - Parameter shape: of the plain tensor; nil: rows and columns.
    mutating func append(_ name: String, _ matrix: WeightMatrix, shape: [Int]? = nil) throws {
        let writer = try begin(name, bytes: matrix.byteCount)
        let plain: (type: DType, name: String)? =
            switch matrix.format {
            case .f32: (.f32, "float32")
            case .f16: (.f16, "float16")
            case .bf16: (.bf16, "bfloat16")
            default: nil
            }
        if let plain {
            if floatType == nil { floatType = plain.name }
            quantized.addPlain(name)
            let shape = shape ?? [matrix.rows, matrix.columns]
            try writer.append(name, Tensor(dtype: plain.type, shape: shape, bytes: matrix.parts.values))
            record(name)
        } else if quantizesForOthers, QuantizedLayers.holds(matrix.format) {
            for (whole, tensor) in try quantized.add(name, matrix, file: path) {
                try writer.append(whole, tensor)
                record(whole)
            }
        } else if matrix.format == .maskedF16, writesBitmasks, name.hasSuffix(".weight") {
            packed.addSparse(matrix)
            for (part, tensor) in PackedLayers.sparseParts(of: matrix) {
                let whole = "\(name.dropLast("weight".utf8.count))\(part)"
                try writer.append(whole, tensor)
                record(whole)
            }
        } else {
            packed.add(name, matrix)
            for (part, dtype, shape, bytes) in PackedLayers.parts(of: matrix) {
                let fill = shape.reduce(1, *) * dtype.byteCount - bytes.byteCount
                if fill > 0 {
                    try writer.append(name + part.rawValue, dtype, shape, bytes, fill: fill)
                } else {
                    // Shapes and row offsets end up side by side: opening reads one page, not two a matrix.
                    try writer.append(name + part.rawValue, Tensor(dtype: dtype, shape: shape, bytes: bytes))
                }
                record(name + part.rawValue)
            }
        }
        remaining.removeLast()
    }

    private mutating func record(_ name: String) { shards[shards.count - 1].append(name) }

    /// The file that a tensor of so many bytes goes to.
    private mutating func begin(_ name: String, bytes: Int) throws -> SafetensorsWriter {
        guard seen.insert(name).inserted else {
            throw CheckpointError.duplicateTensor(file: folder, tensor: name)
        }
        if let writer, writer.dataBytes > 0, writer.dataBytes + bytes > maxShardBytes { try close(writer) }
        if let writer { return writer }
        shards.append([])
        let names = remaining.flatMap { name in
            PackedLayers.Part.allCases.map { name + $0.rawValue }
        }
        let next = try SafetensorsWriter("\(folder)/\(temporaryName(shards.count))", names: names)
        writer = next
        return next
    }

    private mutating func close(_ writer: SafetensorsWriter) throws {
        totalBytes += writer.dataBytes
        try writer.finish()
        self.writer = nil
    }

    private func temporaryName(_ shard: Int) -> String { "shard-\(shard)" }

    /// Ends the last file and gives all their names: one file, or numbered ones and an index.
    mutating func finish() throws {
        if let writer { try close(writer) }
        guard shards.count > 1 else {
            if !shards.isEmpty {
                try FilePath.rename("\(folder)/\(temporaryName(1))", "\(folder)/model.safetensors")
            }
            return
        }
        var map = JSONObject()
        for (index, names) in shards.enumerated() {
            let shard = "model-\(padded(index + 1))-of-\(padded(shards.count)).safetensors"
            try FilePath.rename("\(folder)/\(temporaryName(index + 1))", "\(folder)/\(shard)")
            for name in names { map[name] = .string(shard) }
        }
        let index: JSONValue = [
            "metadata": ["total_size": .integer(Int64(totalBytes))], "weight_map": .object(map),
        ]
        try OutputFile.write(index.text(indent: 2) + "\n", to: "\(folder)/model.safetensors.index.json")
    }

    private func padded(_ number: Int) -> String {
        let text = "\(number)"
        return String(repeating: "0", count: max(5 - text.utf8.count, 0)) + text
    }
}

extension TokenizerDefinition {
    /// - Throws: ``CheckpointError/unsupported(file:feature:advice:)`` for a kind that is read, not written.
    func checkCanBeWritten(to path: String) throws(CheckpointError) {
        guard !model.canBeWritten else { return }
        throw .unsupported(
            file: path, feature: "writing a \(model.ggufName) tokenizer out of its parts",
            advice: "use a folder that has a tokenizer.json, which is copied")
    }
}
