import CWinnow

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What an elementwise optimizer does to a run of weights: its moments, and its step.
public protocol UpdateRule: Sendable {
    associatedtype Constants
    static var name: String { get }
    /// Numbers of state a weight.
    var moments: Int { get }
    /// - Parameter step: this parameter's step, from 1.
    func constants(step: Int, rate: Double, scale: Float, decays: Bool) -> Constants
    /// Phases b to d in one pass.
    func pass(_ tile: OptimizerTile, _ constants: Constants)
    /// Phase b: the first moment is updated, and copied to `term`.
    func moment(_ tile: OptimizerTile, term: UnsafeMutablePointer<Float>, _ constants: Constants)
    /// Phase d: the second moment, the decay and the step, from `term`.
    func finish(_ tile: OptimizerTile, term: UnsafePointer<Float>, _ constants: Constants)
}

/// AdamW: decoupled weight decay, bias correction.
///
/// - Source: arXiv 1711.05101, algorithm 2; agrees with torch.optim.AdamW.
public struct AdamRule: UpdateRule, Equatable {
    public static var name: String { "adamw" }
    public var beta1 = 0.9
    public var beta2 = 0.999
    public var epsilon = 1e-8
    public var weightDecay = 0.01
    public var moments: Int { 2 }

    public init(
        beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0.01
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    public func constants(step: Int, rate: Double, scale: Float, decays: Bool) -> wn_adam {
        wn_adam(
            scale: scale, beta1: Float(beta1), rest1: Float(1 - beta1), beta2: Float(beta2),
            rest2: Float(1 - beta2),
            root: Float(1 / (1 - pow(beta2, Double(step))).squareRoot()), epsilon: Float(epsilon),
            step: Float(rate / (1 - pow(beta1, Double(step)))),
            keep: Float(1 - (decays ? rate * weightDecay : 0)))
    }

    public func pass(_ tile: OptimizerTile, _ constants: wn_adam) {
        withUnsafePointer(to: constants) {
            wn_adam_pass(tile.values, tile.gradients, tile.first, tile.second, tile.bits, tile.count, $0)
        }
    }

    public func moment(_ tile: OptimizerTile, term: UnsafeMutablePointer<Float>, _ constants: wn_adam) {
        withUnsafePointer(to: constants) {
            wn_adam_moment(tile.gradients, tile.first, term, tile.bits, tile.count, $0)
        }
    }

    /// Unlike AdamW's own, the second moment is of the term: what the papers with such terms do.
    public func finish(_ tile: OptimizerTile, term: UnsafePointer<Float>, _ constants: wn_adam) {
        withUnsafePointer(to: constants) {
            wn_adam_finish(tile.values, term, tile.second, tile.bits, tile.count, $0)
        }
    }
}

/// Stochastic gradient descent with momentum; decay is part of the gradient.
///
/// - Source: agrees with torch.optim.SGD.
public struct SGDRule: UpdateRule, Equatable {
    public static var name: String { "sgd" }
    public var momentum = 0.9
    public var dampening = 0.0
    public var nesterov = false
    public var weightDecay = 0.0
    public var moments: Int { momentum == 0 ? 0 : 1 }

    public init(
        momentum: Double = 0.9, dampening: Double = 0, nesterov: Bool = false, weightDecay: Double = 0
    ) {
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weightDecay = weightDecay
    }

    public func constants(step: Int, rate: Double, scale: Float, decays: Bool) -> wn_sgd {
        // The first velocity is the gradient itself.
        wn_sgd(
            scale: scale, decay: decays ? Float(weightDecay) : 0, momentum: Float(momentum),
            rest: step == 1 ? 1 : Float(1 - dampening), rate: Float(rate), nesterov: nesterov)
    }

    public func pass(_ tile: OptimizerTile, _ constants: wn_sgd) {
        withUnsafePointer(to: constants) {
            wn_sgd_pass(tile.values, tile.gradients, tile.first, tile.bits, tile.count, $0)
        }
    }

    public func moment(_ tile: OptimizerTile, term: UnsafeMutablePointer<Float>, _ constants: wn_sgd) {
        for i in 0..<tile.count {
            let gradient = tile.gradients[i] * constants.scale + tile.values[i] * constants.decay
            guard let first = tile.first else {
                term[i] = gradient
                continue
            }
            first[i] = first[i] * constants.momentum + gradient * constants.rest
            term[i] = constants.nesterov ? gradient + first[i] * constants.momentum : first[i]
        }
        if let bits = tile.bits { tile.first.map { wn_keep($0, bits, tile.count) } }
    }

    public func finish(_ tile: OptimizerTile, term: UnsafePointer<Float>, _ constants: wn_sgd) {
        for i in 0..<tile.count { tile.values[i] -= term[i] * constants.rate }
        if let bits = tile.bits { wn_keep(tile.values, bits, tile.count) }
    }
}

/// Lion: the sign of an interpolated momentum.
///
/// - Source: arXiv 2302.06675, algorithm 2.
public struct LionRule: UpdateRule, Equatable {
    public static var name: String { "lion" }
    public var beta1 = 0.9
    public var beta2 = 0.99
    public var weightDecay = 0.0
    public var moments: Int { 1 }

    public init(beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.weightDecay = weightDecay
    }

    public func constants(step: Int, rate: Double, scale: Float, decays: Bool) -> wn_lion {
        wn_lion(
            scale: scale, beta1: Float(beta1), rest1: Float(1 - beta1), beta2: Float(beta2),
            rest2: Float(1 - beta2),
            rate: Float(rate), keep: Float(1 - (decays ? rate * weightDecay : 0)))
    }

    public func pass(_ tile: OptimizerTile, _ constants: wn_lion) {
        withUnsafePointer(to: constants) {
            wn_lion_pass(tile.values, tile.gradients, tile.first, tile.bits, tile.count, $0)
        }
    }

    public func moment(_ tile: OptimizerTile, term: UnsafeMutablePointer<Float>, _ constants: wn_lion) {
        guard let first = tile.first else { return }
        for i in 0..<tile.count {
            let gradient = tile.gradients[i] * constants.scale
            term[i] = first[i] * constants.beta1 + gradient * constants.rest1
            first[i] = first[i] * constants.beta2 + gradient * constants.rest2
        }
        if let bits = tile.bits { wn_keep(first, bits, tile.count) }
    }

    public func finish(_ tile: OptimizerTile, term: UnsafePointer<Float>, _ constants: wn_lion) {
        for i in 0..<tile.count {
            let sign: Float = term[i] > 0 ? 1 : term[i] < 0 ? -1 : 0
            tile.values[i] = tile.values[i] * constants.keep - sign * constants.rate
        }
        if let bits = tile.bits { wn_keep(tile.values, bits, tile.count) }
    }
}
