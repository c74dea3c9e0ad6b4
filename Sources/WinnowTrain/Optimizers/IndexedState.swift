import CWinnow
import WinnowCore

/// State of a sparse set of trained weights: sorted flat indices, moments, and an age for each.
///
/// The values and gradients of the set lie one after the other in the order of ``indices``; the rest of the
/// matrix is frozen and needs no state.
///
/// - Source: SpIEL, arXiv 2401.16405, whose AdamW has an age per element.
/// - Departure: a seeded entry starts at the age of what was seen; its code starts one step short.
public struct IndexedState: Sendable, Equatable {
    /// Row-major, rising, each once.
    public private(set) var indices: [Int32]
    /// Steps each entry took.
    public private(set) var ages: [Int32]
    private(set) var first: [Float]
    private(set) var second: [Float]

    /// - Precondition: rising indices.
    public init(indices: [Int32]) {
        precondition(zip(indices, indices.dropFirst()).allSatisfy { $0 < $1 }, "indices must rise")
        self.indices = indices
        ages = [Int32](repeating: 0, count: indices.count)
        first = [Float](repeating: 0, count: indices.count)
        second = first
    }

    public var count: Int { indices.count }

    /// What a new entry knows of the gradients before it was taken.
    public struct Seed: Sendable, Equatable {
        public var age: Int32
        public var first: Float
        public var second: Float

        /// From sums over `age` steps of gradients and their squares, in the scale of whole batches.
        public init(age: Int, sum: Float, squares: Float, rule: AdamRule) {
            self.age = Int32(age)
            let share1 = Float(1 - repeated(rule.beta1, age)), share2 = Float(1 - repeated(rule.beta2, age))
            first = sum / Float(age) * share1
            second = squares / Float(age) * share2
        }
    }

    /// Takes entries out and new ones in, and keeps the order.
    ///
    /// - Parameter dropped: places in ``indices``, rising.
    /// - Parameter grown: new indices, rising, none of which stays in the set.
    /// - Returns: for each new place, the old place that moved there, or -1 for what has grown: what the
    ///   owner of the values moves them by.
    public mutating func replace(dropped: [Int], grown: [Int32], seeds: [Seed]? = nil) -> [Int] {
        precondition(
            seeds.map { $0.count == grown.count } ?? true, "\(seeds?.count ?? 0) seeds of \(grown.count)")
        var isDropped = [Bool](repeating: false, count: count)
        for place in dropped { isDropped[place] = true }
        var result = IndexedState(indices: []), plan: [Int] = []
        var old = 0, new = 0
        func skip() { while old < count, isDropped[old] { old += 1 } }
        skip()
        while old < count || new < grown.count {
            if new == grown.count || (old < count && indices[old] < grown[new]) {
                result.append(indices[old], age: ages[old], first[old], second[old])
                plan.append(old)
                old += 1
                skip()
            } else {
                precondition(old == count || indices[old] != grown[new], "index \(grown[new]) is in the set")
                let seed = seeds?[new]
                result.append(grown[new], age: seed?.age ?? 0, seed?.first ?? 0, seed?.second ?? 0)
                plan.append(-1)
                new += 1
            }
        }
        self = result
        return plan
    }

    private mutating func append(_ index: Int32, age: Int32, _ first: Float, _ second: Float) {
        indices.append(index)
        ages.append(age)
        self.first.append(first)
        self.second.append(second)
    }

    /// A step of AdamW on the set; decay pulls the values to 0, which for a delta is the pretrained weight.
    public mutating func step(
        _ rule: AdamRule, values: UnsafeMutableBufferPointer<Float>, gradients: UnsafeBufferPointer<Float>,
        rate: Double, scale: Float = 1
    ) {
        precondition(
            values.count == count && gradients.count == count, "\(values.count) values for \(count) indices")
        guard count > 0 else { return }
        let oldest = Int(ages.max()!) + 1
        var steps = [Float](repeating: 0, count: oldest + 1), roots = steps
        for age in 1...oldest {
            let constants = rule.constants(step: age, rate: rate, scale: scale, decays: true)
            steps[age] = constants.step
            roots[age] = constants.root
        }
        for place in ages.indices { ages[place] += 1 }
        withUnsafePointer(to: rule.constants(step: 1, rate: rate, scale: scale, decays: true)) { constants in
            wn_adam_aged_pass(
                values.baseAddress, gradients.baseAddress, &first, &second, ages, steps, roots, count,
                constants)
        }
    }
}

/// beta^times, by multiplying.
private func repeated(_ beta: Double, _ times: Int) -> Double {
    var result = 1.0
    for _ in 0..<times { result *= beta }
    return result
}

extension IndexedState {
    /// All that is needed to go on: `indices`, `ages`, `first`, `second`.
    public func tensors() -> [NamedTensor] {
        [
            NamedTensor(
                name: "indices", tensor: Tensor(dtype: .i32, shape: [count], bytes: .init(copying: indices))),
            NamedTensor(
                name: "ages", tensor: Tensor(dtype: .i32, shape: [count], bytes: .init(copying: ages))),
            NamedTensor(name: "first", tensor: Tensor(first)),
            NamedTensor(name: "second", tensor: Tensor(second)),
        ]
    }

    /// Takes back what ``tensors()`` gave.
    public init(_ parameter: String, _ find: (String) -> Tensor?) throws(OptimizerError) {
        func integers(_ name: String) throws(OptimizerError) -> [Int32] {
            guard let tensor = find(name) else { throw .missingState(parameter: parameter, name: name) }
            guard tensor.dtype == .i32, tensor.shape.count == 1 else {
                throw .stateMismatch(
                    parameter: parameter, name: name, found: tensor.dtype.rawValue,
                    expected: "a vector of I32")
            }
            return (0..<tensor.count).map {
                tensor.bytes.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)
            }
        }
        func floats(_ name: String, _ count: Int) throws(OptimizerError) -> [Float] {
            guard let tensor = find(name) else { throw .missingState(parameter: parameter, name: name) }
            guard tensor.dtype == .f32, tensor.count == count, let values = tensor.floats() else {
                throw .stateMismatch(
                    parameter: parameter, name: name, found: "\(tensor.count) of \(tensor.dtype.rawValue)",
                    expected: "\(count) of F32")
            }
            return values
        }
        indices = try integers("indices")
        ages = try integers("ages")
        guard zip(indices, indices.dropFirst()).allSatisfy({ $0 < $1 }), indices.first ?? 0 >= 0 else {
            throw .stateMismatch(
                parameter: parameter, name: "indices", found: "not in order", expected: "rising indices")
        }
        guard ages.count == indices.count, ages.allSatisfy({ $0 >= 0 }) else {
            throw .stateMismatch(
                parameter: parameter, name: "ages", found: "\(ages.count) ages",
                expected: "\(indices.count), 0 or more")
        }
        first = try floats("first", indices.count)
        second = try floats("second", indices.count)
    }
}
