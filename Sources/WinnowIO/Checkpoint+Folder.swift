import WinnowJSON
import WinnowText
import WinnowWeights

extension Checkpoint {
    /// Opens a folder in Hugging Face layout.
    convenience init(folder path: String) throws {
        var folder = try ModelFolder(path)
        let configPath = "\(path)/config.json"
        let configuration = try ModelConfiguration(
            folder.config, file: configPath, generation: folder.generation)
        let packed = try PackedLayers(folder.config, file: configPath)
        var partNames = Set<String>()
        for name in packed.names {
            for part in PackedLayers.Part.allCases { partNames.insert(name + part.rawValue) }
        }
        var names: [String] = []
        var tensors: [String: StoredTensor] = [:]
        for name in folder.names {
            guard partNames.contains(name) else {
                // Angles that old writers stored; they follow from the configuration.
                if name.hasSuffix(".rotary_emb.inv_freq") { continue }
                let (tensor, file) = folder.tensors[name]!
                guard tensors[name] == nil else { throw CheckpointError.duplicateTensor(file: file, tensor: name) }
                names.append(name)
                tensors[name] = try StoredTensor(tensor, name: name, file: file)
                continue
            }
            let owner = String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
            guard tensors[owner] == nil, let layer = packed[owner] else { continue }
            let parts = try packed.stored(owner, file: folder.tensors[name]!.file) { folder.tensors[$0]?.tensor }
            names.append(owner)
            tensors[owner] = .matrix(layer, parts)
        }
        let tokenizer = try folder.tokenizer()
        let recipePath = "\(path)/winnow.json"
        try self.init(
            path: path, configuration: configuration, tokenizer: tokenizer, names: names, tensors: tensors,
            fileBytes: folder.fileBytes,
            recipe: FilePath.exists(recipePath) ? try JSONFile.object(recipePath) : nil,
            companions: try folder.companions())
    }
}
