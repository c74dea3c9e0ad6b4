#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How rotary positions turn: the base of their frequencies, and how these are stretched for longer contexts.
public struct RopeSettings: Sendable, Equatable {
    public var base: Double
    public var scaling: RopeScaling
    /// Of each head's columns, how many turn: the first ones.
    public var share: Double

    public init(base: Double, scaling: RopeScaling = .none, share: Double = 1) {
        self.base = base
        self.scaling = scaling
        self.share = share
    }

    /// The columns of a head that turn.
    public func width(ofHead headWidth: Int) -> Int { Int(Double(headWidth) * share) }
}

/// A stretching of rotary frequencies, by transformers' `rope_type`.
public enum RopeScaling: Sendable, Equatable {
    case none
    /// Positions divided by a factor.
    case linear(factor: Double)
    /// Llama 3: low frequencies divided, high ones kept, a ramp between.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Int)
    /// NTK by parts; cosines and sines times `attentionFactor` (arXiv 2309.00071).
    case yarn(
        factor: Double, betaFast: Double, betaSlow: Double, originalContext: Int, attentionFactor: Double,
        truncates: Bool)
    /// A divisor for each frequency; `long` ones for sequences that may grow past `originalContext`.
    case longrope(short: [Float], long: [Float], originalContext: Int, attentionFactor: Double)
    /// A divisor for each frequency, as GGUF's `rope_freqs.weight` has them.
    case factors([Float])

    /// transformers' name; nil for what only GGUF has.
    public var name: String? {
        switch self {
        case .none: "default"
        case .linear: "linear"
        case .llama3: "llama3"
        case .yarn: "yarn"
        case .longrope: "longrope"
        case .factors: nil
        }
    }
}

extension RopeSettings {
    /// The angle per position of each pair, and what cosines and sines are multiplied with.
    ///
    /// Rounded to float32 where the reference implementation rounds, so that long positions agree with it.
    ///
    /// - Source: transformers, `modeling_rope_utils.py`.
    /// - Parameter capacity: the longest that the sequence may become. transformers changes the factors of
    ///   `longrope` when a sequence grows past the original context, which leaves cached keys behind; here they
    ///   are chosen once for a sequence.
    public func frequencies(headWidth: Int, capacity: Int) -> (values: [Float], attentionFactor: Float) {
        let headWidth = width(ofHead: headWidth)
        let powers = (0..<headWidth / 2).map { powf(Float(base), Float(2 * $0) / Float(headWidth)) }
        let plain = powers.map { 1 / $0 }
        switch scaling {
        case .none: return (plain, 1)
        case .linear(let factor): return (plain.map { $0 / Float(factor) }, 1)
        case .factors(let factors): return (zip(plain, factors).map { $0 / $1 }, 1)
        case .longrope(let short, let long, let originalContext, let attentionFactor):
            let factors = capacity > originalContext ? long : short
            return (zip(powers, factors).map { 1 / ($1 * $0) }, Float(attentionFactor))
        case .llama3(let factor, let low, let high, let originalContext):
            return (
                plain.map {
                    RopeSettings.llama3(
                        $0, factor: factor, low: low, high: high, originalContext: originalContext)
                }, 1
            )
        case .yarn(let factor, let fast, let slow, let originalContext, let attentionFactor, let truncates):
            /// The pair that turns so often within the original context.
            func pair(_ rotations: Double) -> Double {
                Double(headWidth) * log(Double(originalContext) / (rotations * 2 * .pi)) / (2 * log(base))
            }
            let first = max(truncates ? floor(pair(fast)) : pair(fast), 0)
            var last = min(truncates ? ceil(pair(slow)) : pair(slow), Double(headWidth - 1))
            if first == last { last += 0.001 }
            let values = powers.enumerated().map { index, power in
                let ramp = Float(min(max((Double(index) - first) / (last - first), 0), 1))
                return 1 / (Float(factor) * power) * ramp + 1 / power * (1 - ramp)
            }
            return (values, Float(attentionFactor))
        }
    }

    private static func llama3(
        _ frequency: Float, factor: Double, low: Double, high: Double, originalContext: Int
    ) -> Float {
        let wavelength = 2 * Float.pi / frequency
        let context = Float(originalContext)
        if wavelength > context / Float(low) { return frequency / Float(factor) }
        if wavelength < context / Float(high) { return frequency }
        let smooth = (context / wavelength - Float(low)) / Float(high - low)
        return (1 - smooth) * frequency / Float(factor) + smooth * frequency
    }
}
