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
        let family = configuration.family
        for stored in folder.names {
            guard partNames.contains(stored) else {
                // What old writers stored and what follows from the configuration.
                if family.ignoredSuffixes.contains(where: stored.hasSuffix) { continue }
                let (tensor, file) = folder.tensors[stored]!
                let dropped = family.droppedPrefixes.first(where: stored.hasPrefix) ?? ""
                let own = String(stored.dropFirst(dropped.count))
                if family.ignoredPrefixes.contains(where: own.hasPrefix), !configuration.knows(own) {
                    continue
                }
                // Old folders of base models leave out the first part of every name.
                let isWhole =
                    own.hasPrefix(family.modelPrefix) || own.hasPrefix("lm_head.") || configuration.knows(own)
                let name = isWhole ? own : family.modelPrefix + own
                guard tensors[name] == nil else {
                    throw CheckpointError.duplicateTensor(file: file, tensor: name)
                }
                names.append(name)
                let value = try StoredTensor(tensor, name: name, file: file)
                let turns = family.transposesLinears && configuration.isBlockLinear(name)
                tensors[name] = turns ? value.transposed : value
                continue
            }
            let name = stored
            let owner = String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
            guard tensors[owner] == nil, let layer = packed[owner] else { continue }
            let parts = try packed.stored(owner, file: folder.tensors[name]!.file) {
                folder.tensors[$0]?.tensor
            }
            names.append(owner)
            tensors[owner] = .matrix(layer, parts)
        }
        for name in names {
            guard let order = configuration.folderRowOrder(of: name) else { continue }
            // A tensor of another shape is named when the configuration is held against it.
            tensors[name] = tensors[name]?.reordered(order) ?? tensors[name]
        }
        let tokenizer = configuration.traits.image == nil ? try folder.tokenizer() : .none
        let recipePath = "\(path)/winnow.json"
        try self.init(
            path: path, configuration: configuration, tokenizer: tokenizer, names: names, tensors: tensors,
            fileBytes: folder.fileBytes,
            recipe: FilePath.exists(recipePath) ? try JSONFile.object(recipePath) : nil,
            companions: try folder.companions(), pooling: try SentencePooling(folder: path))
    }
}
