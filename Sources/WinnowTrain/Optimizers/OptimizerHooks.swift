import CWinnow

/// Phase a: what changes a gradient before it is used.
public protocol GradientHook: Sendable {
    /// Whether nothing is done: then gradients are read in place.
    static var isIdentity: Bool { get }
    /// - Parameter gradients: a copy of the tile's gradients, already scaled (clipping, accumulation).
    func apply(_ gradients: UnsafeMutablePointer<Float>, _ tile: OptimizerTile)
}

/// Phase c: what joins the first moment, and with it the second moment and the step.
public protocol MomentTerm: Sendable {
    static var isNone: Bool { get }
    /// - Parameter term: the first moment, to be changed.
    func apply(_ term: UnsafeMutablePointer<Float>, _ tile: OptimizerTile)
}

/// The end of phase d: what is done to the values after the step.
public protocol PostStepMap: Sendable {
    /// Whether pruned weights and their state are held at zero.
    static var keepsMask: Bool { get }
    static var isIdentity: Bool { get }
    /// - Parameter rate: the learning rate of this step.
    func apply(_ tile: OptimizerTile, rate: Float)
}

public struct PlainGradient: GradientHook {
    public static var isIdentity: Bool { true }
    public init() {}
    public func apply(_ gradients: UnsafeMutablePointer<Float>, _ tile: OptimizerTile) {}
}

/// Adds strength * value to the gradients of pruned weights: SR-STE, which enters both moments.
///
/// - Source: arXiv 2102.04010, equation 9; the LLaMA path of the Adaptive Sparse Trainer's code.
public struct PrunedDecayInGradient: GradientHook {
    public static var isIdentity: Bool { false }
    public var strength: Float
    public init(strength: Float) { self.strength = strength }

    public func apply(_ gradients: UnsafeMutablePointer<Float>, _ tile: OptimizerTile) {
        guard let bits = tile.bits else { return }
        wn_add_pruned_decay(gradients, tile.values, bits, strength, tile.count)
    }
}

public struct NoMomentTerm: MomentTerm {
    public static var isNone: Bool { true }
    public init() {}
    public func apply(_ term: UnsafeMutablePointer<Float>, _ tile: OptimizerTile) {}
}

/// Adds strength * value to the first moment of pruned weights, once, after the moment is kept.
///
/// - Source: Adaptive Sparse Trainer, arXiv 2407.20584, the annealed decay.
public struct PrunedDecay: MomentTerm {
    public static var isNone: Bool { false }
    public var strength: Float
    public init(strength: Float) { self.strength = strength }

    public func apply(_ term: UnsafeMutablePointer<Float>, _ tile: OptimizerTile) {
        guard let bits = tile.bits else { return }
        wn_add_pruned_decay(term, tile.values, bits, strength, tile.count)
    }
}

/// Blends the first moment of pruned weights with strength * sign(value).
///
/// - Source: CAST, arXiv 2509.25996, AdamS.
public struct PrunedPull: MomentTerm {
    public static var isNone: Bool { false }
    /// 0 at the first step, 1 at the end.
    public var blend: Float
    public var strength: Float

    public init(blend: Float, strength: Float) {
        self.blend = blend
        self.strength = strength
    }

    public func apply(_ term: UnsafeMutablePointer<Float>, _ tile: OptimizerTile) {
        guard let bits = tile.bits else { return }
        wn_blend_pruned_pull(term, tile.values, bits, blend, strength, tile.count)
    }
}

/// Holds pruned weights at zero.
public struct KeepMask: PostStepMap {
    public static var keepsMask: Bool { true }
    public static var isIdentity: Bool { true }
    public init() {}
    public func apply(_ tile: OptimizerTile, rate: Float) {}
}

/// Lets pruned weights move: the mask is for the gradient rule and the terms.
public struct MovePruned: PostStepMap {
    public static var keepsMask: Bool { false }
    public static var isIdentity: Bool { true }
    public init() {}
    public func apply(_ tile: OptimizerTile, rate: Float) {}
}

/// The proximal step of an L1 penalty: sign(v) max(|v| - rate * strength, 0).
///
/// - Source: SoRA, arXiv 2311.11696. Departure: its code thresholds twice, which leaves a jump, and does not
///   scale with the rate.
public struct SoftThreshold: PostStepMap {
    public static var keepsMask: Bool { true }
    public static var isIdentity: Bool { false }
    public var strength: Float
    public init(strength: Float) { self.strength = strength }

    public func apply(_ tile: OptimizerTile, rate: Float) {
        wn_soft_threshold(tile.values, rate * strength, tile.count)
    }
}
