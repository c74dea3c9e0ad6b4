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
        let foreign = try ForeignLayers(QuantizationScheme(folder), folder)
        var partNames = Set<String>()
        for name in packed.names {
            for part in PackedLayers.Part.allCases { partNames.insert(name + part.rawValue) }
        }
        var names: [String] = []
        var tensors: [String: StoredTensor] = [:]
        let family = configuration.family
        func ownName(_ stored: String) -> String {
            String(stored.dropFirst((family.droppedPrefixes.first(where: stored.hasPrefix) ?? "").count))
        }
        // Old folders of base models leave out the first part of every name.
        func wholeName(_ stored: String) -> String {
            let own = ownName(stored)
            let isWhole =
                own.hasPrefix(family.modelPrefix) || own.hasPrefix("lm_head.") || configuration.knows(own)
            return isWhole ? own : family.modelPrefix + own
        }
        for stored in folder.names {
            if let owner = foreign.owners[stored] {
                guard let owner, let matrix = foreign.matrices[owner] else { continue }
                let name = wholeName(owner)
                // Its parts come one after another: the first makes it.
                if case .unpacked = tensors[name] { continue }
                guard tensors[name] == nil else {
                    throw CheckpointError.duplicateTensor(file: folder.tensors[stored]!.file, tensor: name)
                }
                guard !family.transposesLinears, !family.interleavesQueryKeyValue else {
                    throw CheckpointError.unsupported(
                        file: configPath, feature: "\(matrix.source) in a model of \(family.className)",
                        advice: "use the unquantized folder")
                }
                names.append(name)
                tensors[name] = .unpacked(matrix)
                continue
            }
            guard partNames.contains(stored) else {
                // What old writers stored and what follows from the configuration.
                if family.ignoredSuffixes.contains(where: stored.hasSuffix) { continue }
                let (tensor, file) = folder.tensors[stored]!
                let own = ownName(stored)
                if family.ignoredPrefixes.contains(where: own.hasPrefix), !configuration.knows(own) { continue }
                let name = wholeName(stored)
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
