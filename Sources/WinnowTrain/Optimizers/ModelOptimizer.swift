import WinnowCore
import WinnowWeights

/// What an optimizer must know of a parameter before it sees it.
public struct ParameterDescription: Sendable {
    public enum Kind: Sendable, Equatable {
        case matrix, embedding
        /// Weights of norms, and all biases: without weight decay.
        case vector
    }

    public var name: String
    public var rows: Int
    public var columns: Int
    public var kind: Kind
    public var mask: SparsityMask?

    /// - Parameter shape: one number is a vector; more are rows, and columns of all others.
    public init(name: String, shape: [Int], mask: SparsityMask? = nil) {
        self.name = name
        self.mask = mask
        rows = shape.count < 2 ? 1 : shape[0]
        columns = shape.count < 2 ? shape.first ?? 1 : shape.dropFirst().reduce(1, *)
        let isEmbedding = ["embed", "wte", "wpe"].contains { name.contains($0) }
        kind = shape.count < 2 ? .vector : isEmbedding ? .embedding : .matrix
    }
}

/// The optimizer of a whole model: state for each parameter, groups of decay, clipping, and all of it as
/// tensors.
public final class ModelOptimizer {
    public let configuration: OptimizerConfiguration
    private let optimizer: any ParameterOptimizer
    public let names: [String]
    private let decays: [Bool]
    let states: [OptimizerState]

    /// - Parameter optimizer: another than the configuration's: one with hooks.
    /// - Throws: ``OptimizerError`` for a `no_decay` name that no parameter has.
    public init(
        _ configuration: OptimizerConfiguration, parameters: [ParameterDescription],
        optimizer: (any ParameterOptimizer)? = nil
    ) throws(OptimizerError) {
        for pattern in configuration.noDecay
        where !parameters.contains(where: { NamePattern(pattern).matches($0.name) }) {
            throw .badValue(
                key: "no_decay", value: pattern,
                expected: "the name of a parameter, such as \(parameters.first?.name ?? "none")")
        }
        self.configuration = configuration
        let chosen = optimizer ?? configuration.makeOptimizer()
        self.optimizer = chosen
        names = parameters.map(\.name)
        decays = parameters.map { parameter in
            parameter.kind != .vector
                && !configuration.noDecay.contains { NamePattern($0).matches(parameter.name) }
        }
        states = parameters.map {
            chosen.makeState(rows: $0.rows, columns: $0.columns, mask: $0.mask, layout: configuration.state)
        }
    }

    /// Bytes of state.
    public var byteCount: Int { states.reduce(0) { $0 + $1.byteCount } }
    /// Whether weight decay applies to a parameter.
    public func decays(_ index: Int) -> Bool { decays[index] }

    /// Measures the gradients, clips them, and takes a step with every parameter, in order.
    ///
    /// Nothing is changed when a gradient is not finite.
    ///
    /// - Parameter slots: as the parameters were described.
    /// - Parameter scale: what gradients are multiplied by first, such as one over the accumulated batches.
    /// - Returns: the gradients' norm, before `scale` and clipping.
    @discardableResult
    public func step(
        _ slots: [ParameterSlot], rate: Double, scale: Double = 1, pool: KernelPool
    ) -> GradientNorm {
        precondition(slots.count == states.count, "\(slots.count) parameters of \(states.count)")
        let norm = GradientNorm(slots, pool: pool)
        guard norm.firstNotFinite == nil else { return norm }
        let factor = norm.scale(limit: configuration.clipNorm, scale: scale)
        for (index, slot) in slots.enumerated() {
            optimizer.step(
                slot, state: states[index], rate: rate, scale: factor, decays: decays[index], pool: pool)
        }
        return norm
    }

    /// Moves compressed state of a parameter to a new mask.
    public func adopt(_ mask: SparsityMask, for index: Int) { states[index].adopt(mask) }

    /// The state of every parameter, under `name` + "." + the state's own name.
    public func tensors() -> [NamedTensor] {
        zip(names, states).flatMap { name, state in
            state.tensors().map { NamedTensor(name: "\(name).\($0.name)", tensor: $0.tensor) }
        }
    }

    /// Takes back what ``tensors()`` gave.
    ///
    /// - Throws: ``OptimizerError`` naming the first parameter whose state is missing or of another size.
    public func restore(_ find: (String) -> Tensor?) throws(OptimizerError) {
        for (name, state) in zip(names, states) { try state.restore(name) { find("\(name).\($0)") } }
    }
}

/// A name in which `*` stands for any run of characters.
struct NamePattern {
    private let parts: [Substring]

    init(_ text: String) { parts = text.split(separator: "*", omittingEmptySubsequences: false) }

    func matches(_ name: String) -> Bool {
        guard parts.count > 1 else { return name == parts[0] }
        guard name.hasPrefix(parts[0]), name.hasSuffix(parts[parts.count - 1]),
            name.count >= parts[0].count + parts[parts.count - 1].count
        else { return false }
        var rest = name.dropFirst(parts[0].count).dropLast(parts[parts.count - 1].count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }
}
