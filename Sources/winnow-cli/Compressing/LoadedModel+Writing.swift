import WinnowIO
import WinnowJSON
import WinnowModels

extension LoadedModel {
    /// Writes the model as it is now: what changed in memory, the rest from its file.
    ///
    /// - Parameter record: what made it, kept as `winnow.json`.
    func write(to folder: String, overwrite: Bool, record: JSONObject) throws -> CheckpointWriter.Written {
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
        return try CheckpointWriter(folder, overwrite: overwrite).write(checkpoint, recipe: record) {
            if let tensor = changed[$0] { return tensor }
            return try checkpoint.tensor($0)
        }
    }
}
