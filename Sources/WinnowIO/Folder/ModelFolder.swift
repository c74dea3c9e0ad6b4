import WinnowCore
import WinnowJSON
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The files of a folder in Hugging Face layout, opened.
struct ModelFolder {
    let path: String
    let config: JSONObject
    let generation: JSONObject?
    /// Tensors of all shards by name, in the order of the files.
    private(set) var names: [String] = []
    private(set) var tensors: [String: (tensor: Tensor, file: String)] = [:]
    private(set) var files: [String] = []

    init(_ path: String) throws {
        self.path = path
        guard FilePath.exists("\(path)/config.json") else {
            if let gguf = FilePath.entries(path).first(where: { $0.hasSuffix(".gguf") }) {
                throw CheckpointError.notAModel(
                    path: path, reason: "no config.json here, but a GGUF file: give \(path)/\(gguf)")
            }
            if let refusal = ForeignFiles.refusal(folder: path) { throw refusal }
            throw CheckpointError.missingFile(folder: path, file: "config.json")
        }
        config = try JSONFile.object("\(path)/config.json")
        let generationPath = "\(path)/generation_config.json"
        generation = FilePath.exists(generationPath) ? try JSONFile.object(generationPath) : nil
        for file in ["config.json", "generation_config.json"] where FilePath.exists("\(path)/\(file)") {
            files.append(file)
        }
        try readTensors()
    }

    private mutating func readTensors() throws {
        let single = "model.safetensors"
        let index = "model.safetensors.index.json"
        if FilePath.exists("\(path)/\(single)") {
            try add(shard: single, wanted: nil)
        } else if FilePath.exists("\(path)/\(index)") {
            files.append(index)
            try readShards(index: "\(path)/\(index)")
        } else {
            // Old tools name the one file after the way it was packed: `gptq_model-4bit-128g.safetensors`.
            let files = FilePath.entries(path).filter {
                $0.hasSuffix(".safetensors") && !$0.hasPrefix("adapter_")
            }
            if files.count == 1 { return try add(shard: files[0], wanted: nil) }
            throw ForeignFiles.refusal(folder: path)
                ?? CheckpointError.missingFile(folder: path, file: single)
        }
    }

    private mutating func readShards(index: String) throws {
        guard let map = try JSONFile.object(index)["weight_map"]?.object else {
            throw CheckpointError.missingField(
                file: index, field: "weight_map", expected: "an object of tensors and their files")
        }
        var wanted: [String: Set<String>] = [:]
        for (tensor, file) in map.pairs {
            guard let shard = file.string, !shard.isEmpty, shard != ".", shard != "..",
                !shard.utf8.contains(UInt8(ascii: "/")), !shard.utf8.contains(0)
            else {
                throw CheckpointError.badShardName(file: index, shard: file.string ?? file.text())
            }
            wanted[shard, default: []].insert(tensor)
        }
        let shards = wanted.keys.sorted()
        let missing = shards.filter { !FilePath.exists("\(path)/\($0)") }
        guard missing.isEmpty else { throw CheckpointError.missingShards(folder: path, files: missing) }
        for shard in shards { try add(shard: shard, wanted: wanted[shard]) }
    }

    private mutating func add(shard: String, wanted: Set<String>?) throws {
        let file = try SafetensorsFile("\(path)/\(shard)")
        files.append(shard)
        for name in file.names where wanted?.contains(name) ?? true {
            names.append(name)
            tensors[name] = (file[name]!, file.path)
        }
        if let missing = wanted?.filter({ file[$0] == nil }).min() {
            throw CheckpointError.missingTensor(file: file.path, tensor: missing)
        }
    }

    // MARK: Tokenizer

    mutating func tokenizer() throws -> TokenizerDefinition {
        func optional(_ file: String) throws -> JSONObject? {
            guard FilePath.exists("\(path)/\(file)") else { return nil }
            files.append(file)
            return try JSONFile.object("\(path)/\(file)")
        }
        let json = try optional("tokenizer.json")
        var configuration = try optional("tokenizer_config.json") ?? JSONObject()
        if FilePath.exists("\(path)/special_tokens_map.json") { files.append("special_tokens_map.json") }
        // The file of its own wins over the text inside the configuration.
        if FilePath.exists("\(path)/chat_template.jinja") {
            files.append("chat_template.jinja")
            let template = try Storage.mapping("\(path)/chat_template.jinja")
            let bytes = UnsafeRawBufferPointer(start: template.base, count: template.byteCount)
            let text = withExtendedLifetime(template) { String(decoding: bytes, as: UTF8.self) }
            configuration["chat_template"] = .string(text)
        }
        guard let json else {
            return try tokenizerModel(.object(configuration), added: optional("added_tokens.json"))
        }
        do {
            return try TokenizerDefinition(
                tokenizerJSON: .object(json), configuration: .object(configuration),
                generation: generation.map { .object($0) })
        } catch {
            throw CheckpointError.badTokenizer(file: "\(path)/tokenizer.json", reason: error.description)
        }
    }

    /// Files of tokenizers that come without tokenizer.json: SentencePiece's, or tiktoken's ranks.
    static let tokenizerModels = ["tokenizer.model", "tiktoken.model", "qwen.tiktoken"]

    private mutating func tokenizerModel(
        _ configuration: JSONValue, added: JSONObject?
    ) throws -> TokenizerDefinition {
        guard let name = ModelFolder.tokenizerModels.first(where: { FilePath.exists("\(path)/\($0)") }) else {
            throw CheckpointError.missingFile(folder: path, file: "tokenizer.json")
        }
        files.append(name)
        let storage = try Storage.mapping("\(path)/\(name)")
        guard storage.byteCount <= JSONFile.limit else {
            throw CheckpointError.tooLarge(
                file: "\(path)/\(name)", bytes: storage.byteCount, limit: JSONFile.limit)
        }
        let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
            .assumingMemoryBound(to: UInt8.self)
        let generation = generation.map { JSONValue.object($0) }
        do {
            return try withExtendedLifetime(storage) { () throws(TokenizerError) in
                if TokenizerDefinition.isRankFile(bytes) {
                    return try TokenizerDefinition(
                        ranks: bytes, modelType: config["model_type"]?.string, configuration: configuration,
                        generation: generation)
                }
                return try TokenizerDefinition(
                    sentencePiece: bytes, configuration: configuration, added: added.map { .object($0) },
                    generation: generation)
            }
        } catch {
            throw CheckpointError.badTokenizer(file: "\(path)/\(name)", reason: error.description)
        }
    }

    /// Files that a copy of the model needs and that Winnow does not write itself.
    func companions() throws -> [CompanionFile] {
        try CompanionFile.names.filter { FilePath.kind("\(path)/\($0)") == .file }.map { name in
            CompanionFile(name: name, bytes: StorageSlice(try Storage.mapping("\(path)/\(name)")))
        }
    }

    /// Bytes of all files that were read.
    var fileBytes: Int { files.reduce(0) { $0 + FilePath.byteCount("\(path)/\($1)") } }
}
