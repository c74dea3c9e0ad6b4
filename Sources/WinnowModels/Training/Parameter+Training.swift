import WinnowCore
import WinnowIO
import WinnowWeights

extension Parameter {
    /// Multiplies the value out into float32 masters that steps change; the value stays as it is until
    /// ``takeMasters()``.
    ///
    /// - Parameter keepsZeros: prunes, from now on, what is zero in the matrix (a masked format's mask in any
    ///   case).
    public func beginTraining(keepsZeros: Bool = false, on pool: KernelPool) {
        switch value {
        case .matrix(let matrix):
            let mask = matrix.mask ?? (keepsZeros ? matrix.nonzeros(on: pool) : nil)
            training = ParameterTraining(
                name: name, shape: [matrix.rows, matrix.columns], values: matrix.floats(on: pool), mask: mask)
        case .vector(let vector):
            training = ParameterTraining(
                name: name, shape: vector.shape, values: vector.floats() ?? [], mask: nil)
        }
    }

    /// Makes a copy of the masters the parameter's value, as float32.
    public func takeMasters() throws {
        guard let training else { return }
        value = try training.checkpointTensor.parameterValue(named: name)
        version += 1
    }

    public func endTraining() { training = nil }
}

extension ParameterTraining {
    /// The masters as a checkpoint stores them.
    public var checkpointTensor: CheckpointTensor {
        get throws {
            let tensor = tensor
            guard shape.count == 2 else { return .vector(tensor) }
            return .matrix(
                try WeightMatrix(
                    format: .f32, rows: shape[0], columns: shape[1], parts: .init(values: tensor.bytes),
                    name: name))
        }
    }
}

extension CheckpointTensor {
    fileprivate func parameterValue(named name: String) -> Parameter.Value {
        switch self {
        case .matrix(let matrix): .matrix(matrix)
        case .vector(let vector): .vector(vector)
        }
    }
}
