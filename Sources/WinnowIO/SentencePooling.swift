import WinnowJSON

/// How a model of sentences makes one vector of its last states, as the files beside it say.
public struct SentencePooling: Sendable, Equatable {
    /// Which states count.
    public enum Mode: String, Sendable, CaseIterable {
        /// The first token's.
        case cls
        case mean
        /// The largest of each column.
        case max
        case last
    }

    public var mode: Mode
    /// Divides the vector by its length.
    public var normalizes: Bool
    /// The most tokens of a text that the model was made for; nil: its context.
    public var maxTokens: Int?

    public init(mode: Mode, normalizes: Bool, maxTokens: Int? = nil) {
        self.mode = mode
        self.normalizes = normalizes
        self.maxTokens = maxTokens
    }
}

extension SentencePooling {
    /// The settings of a folder that sentence-transformers wrote: `modules.json` and what it names.
    ///
    /// - Returns: nil without such a file.
    /// - Throws: ``CheckpointError`` for steps that Winnow does not have.
    init?(folder: String) throws {
        let path = "\(folder)/modules.json"
        guard FilePath.exists(path) else { return nil }
        guard let modules = try JSONFile.read(path).array else {
            throw CheckpointError.wrongField(
                file: path, field: "the text", found: "no list", expected: "a list of modules")
        }
        var mode: Mode?
        normalizes = false
        for module in modules {
            let type = module["type"]?.string ?? ""
            switch type.split(separator: ".").last {
            case "Transformer": break
            case "Normalize": normalizes = true
            case "Pooling":
                let place = module["path"]?.string ?? ""
                guard !place.contains("..") else {
                    throw CheckpointError.wrongField(
                        file: path, field: "path", found: place, expected: "a folder inside the model's")
                }
                mode = try SentencePooling.mode("\(folder)/\(place)/config.json")
            default:
                throw CheckpointError.unsupported(
                    file: path, feature: "the module '\(type)'",
                    advice: "use a model of a transformer, pooling and normalization")
            }
        }
        guard let mode else {
            throw CheckpointError.missingField(file: path, field: "type", expected: "a module of pooling")
        }
        self.mode = mode
        let limits = "\(folder)/sentence_bert_config.json"
        guard FilePath.exists(limits) else { return }
        let reader = FieldReader(fields: try JSONFile.object(limits), file: limits)
        if reader.has("max_seq_length") { maxTokens = try reader.integer("max_seq_length", in: 1...1 << 30) }
    }

    private static func mode(_ path: String) throws -> Mode {
        let config = try JSONFile.object(path)
        let names: [(key: String, mode: Mode)] = [
            ("pooling_mode_cls_token", .cls), ("pooling_mode_mean_tokens", .mean),
            ("pooling_mode_max_tokens", .max), ("pooling_mode_lasttoken", .last),
        ]
        if let name = config["pooling_mode"]?.string {
            let spellings: [String: Mode] = ["cls": .cls, "mean": .mean, "max": .max, "lasttoken": .last]
            guard let mode = spellings[name] else {
                throw CheckpointError.unsupported(
                    file: path, feature: "'pooling_mode': '\(name)'",
                    advice: "use cls, mean, max or lasttoken")
            }
            return mode
        }
        let chosen = config.pairs.filter { $0.key.hasPrefix("pooling_mode_") && $0.value.bool == true }.map(
            \.key)
        guard chosen.count == 1, let row = names.first(where: { $0.key == chosen[0] }) else {
            throw CheckpointError.unsupported(
                file: path,
                feature: chosen.isEmpty ? "no pooling" : "pooling by \(chosen.joined(separator: ", "))",
                advice: "use one of \(names.map(\.key).joined(separator: ", "))")
        }
        return row.mode
    }
}
