import WinnowCore
import WinnowModels
import WinnowText

extension SpeedBenchmark {
    /// Decode speed with some neurons over that with all, in turns: how much faster text comes.
    public struct NeuronSpeed: Sendable {
        /// Medians over the repetitions.
        public var denseTokensPerSecond: Double
        public var tokensPerSecond: Double
        /// Of each pair.
        public var ratios: [Double]
        public var ratio: Double { SpeedBenchmark.median(ratios) }
    }

    /// Decodes ``generateTokens`` after a prompt, ``repeats`` pairs of runs after one that is not counted.
    ///
    /// - Parameter tokens: of which the last ``generateTokens`` are decoded one by one, the others are the prompt.
    public func neurons(
        _ runner: ModelRunner, _ packed: PackedNeurons, tokens: [TokenID],
        cancellation: CancellationFlag? = nil
    ) throws -> NeuronSpeed {
        precondition(tokens.count > generateTokens, "\(tokens.count) tokens, \(generateTokens) to decode")
        let prompt = tokens.count - generateTokens
        let sequence = runner.makeSequence(capacity: tokens.count)
        defer { try? runner.use(nil) }
        try runner.read(tokens[..<prompt], into: sequence, cancellation: cancellation)
        var speeds: (dense: [Double], packed: [Double]) = ([], [])
        func decode() throws -> Double {
            let clock = ContinuousClock()
            let start = clock.now
            for token in tokens[prompt...] {
                try runner.read([token], into: sequence, cancellation: cancellation)
                _ = try runner.logits(rows: 0..<1)
            }
            sequence.truncate(to: prompt)
            return Double(generateTokens) / ((clock.now - start) / .seconds(1))
        }
        for repetition in 0...repeats {
            try runner.use(nil)
            let dense = try decode()
            try runner.use(packed)
            let thinned = try decode()
            guard repetition > 0 else { continue }
            speeds.dense.append(dense)
            speeds.packed.append(thinned)
        }
        return NeuronSpeed(
            denseTokensPerSecond: SpeedBenchmark.median(speeds.dense),
            tokensPerSecond: SpeedBenchmark.median(speeds.packed),
            ratios: zip(speeds.packed, speeds.dense).map { $0 / $1 })
    }
}
