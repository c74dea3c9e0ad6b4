import WinnowIO
import WinnowJSON

extension LoadedModel {
    /// Writes the model as it is now: what changed in memory, the rest from its file.
    ///
    /// - Parameter record: what made it, kept as `winnow.json`.
    /// - Parameter notes: texts to keep beside it, under their file names.
    /// - Throws: `CheckpointError` when the folder is there and `overwrite` is not set, `FileError`.
    @discardableResult
    public func write(
        to folder: String, overwrite: Bool = false, record: JSONObject? = nil,
        notes: [(name: String, text: String)] = []
    ) throws -> CheckpointWriter.Written {
        var changed: [String: CheckpointTensor] = [:]
        // Matrices of blocks have the shape and place that the model gave them, changed or not.
        for block in model.blocks {
            block.visit { parameter in
                if case .matrix(let matrix) = parameter.value { changed[parameter.name] = .matrix(matrix) }
            }
        }
        model.visit { parameter in
            guard parameter.version > 0 else { return }
            switch parameter.value {
            case .matrix(let matrix): changed[parameter.name] = .matrix(matrix)
            case .vector(let vector): changed[parameter.name] = .vector(vector)
            }
        }
        var writer = CheckpointWriter(folder, overwrite: overwrite)
        writer.notes = notes
        return try writer.write(checkpoint, recipe: record) {
            if let tensor = changed[$0] { return tensor }
            return try checkpoint.tensor($0)
        }
    }
}
