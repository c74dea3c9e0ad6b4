import WinnowCore
import WinnowWeights

extension Checkpoint {
    /// The model with blocks of other shapes, or fewer of them: tokenizer, licence and whatever else its files say stay.
    ///
    /// - Parameter tensors: every tensor that `configuration` asks for, in memory.
    /// - Throws: ``CheckpointError`` when one is missing or has another shape.
    package func rebuilt(
        _ configuration: ModelConfiguration, tensors: [(name: String, tensor: CheckpointTensor)]
    ) throws(CheckpointError) -> Checkpoint {
        var stored: [String: StoredTensor] = [:]
        for (name, tensor) in tensors {
            switch tensor {
            case .vector(let vector): stored[name] = .vector(vector)
            case .matrix(let matrix):
                let layer = PackedLayers.Layer(
                    format: matrix.format, rows: matrix.rows, columns: matrix.columns, group: matrix.group)
                stored[name] = .matrix(layer, matrix.parts)
            }
        }
        return try Checkpoint(
            path: path, configuration: configuration, tokenizer: tokenizer, names: tensors.map(\.name),
            tensors: stored, fileBytes: fileBytes, companions: companions, pooling: pooling)
    }
}
