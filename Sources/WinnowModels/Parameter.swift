import WinnowCore
import WinnowWeights

/// A named weight of a model: what load, save, prune, shard and train go over.
///
/// The only thing in a model that changes. Training adds float32 masters, a gradient and a mask
/// (``ParameterTraining``); without it a mask is part of a masked ``WeightMatrix``.
public final class Parameter {
    public enum Value: Sendable {
        /// A linear's `[outputs, inputs]` or an embedding's `[vocabulary, width]`.
        case matrix(WeightMatrix)
        /// A norm's weights, float32.
        case vector(Tensor)
    }

    /// The Hugging Face key, `model.layers.0.self_attn.q_proj.weight`.
    public let name: String
    public internal(set) var value: Value
    /// Raised by each replacement: what was bound to an older value binds again.
    public internal(set) var version = 0
    /// Masters, gradient and mask while the parameter is trained; nil: it is frozen.
    public internal(set) var training: ParameterTraining?

    public init(name: String, value: Value) {
        self.name = name
        self.value = value
    }

    /// The matrix; a precondition failure for a vector.
    public var matrix: WeightMatrix {
        guard case .matrix(let matrix) = value else { preconditionFailure("\(name) is a vector") }
        return matrix
    }

    /// The vector; a precondition failure for a matrix.
    public var vector: Tensor {
        guard case .vector(let vector) = value else { preconditionFailure("\(name) is a matrix") }
        return vector
    }

    /// Puts another matrix of the same shape in place.
    public func replace(with matrix: WeightMatrix) {
        let old = self.matrix
        precondition(
            old.rows == matrix.rows && old.columns == matrix.columns,
            "\(name) is [\(old.rows), \(old.columns)], not [\(matrix.rows), \(matrix.columns)]")
        value = .matrix(matrix)
        version += 1
    }

    /// Puts back what stood here before; nothing is done where it still does.
    public func restore(_ value: Value) {
        switch value {
        case .matrix(let matrix): if self.matrix !== matrix { replace(with: matrix) }
        case .vector(let vector): if self.vector.bytes.base != vector.bytes.base { replace(with: vector) }
        }
    }

    /// Puts another vector of the same length in place.
    public func replace(with vector: Tensor) {
        precondition(
            vector.shape == self.vector.shape, "\(name) is \(self.vector.shape), not \(vector.shape)")
        value = .vector(vector)
        version += 1
    }
}

/// A part of a model that owns parameters.
public protocol Module {
    /// Calls `body` with every parameter, once each, in checkpoint order. Written by hand: no reflection.
    func visit(_ body: (Parameter) throws -> Void) rethrows
}
