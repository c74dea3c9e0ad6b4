import WinnowCore
import WinnowModels
import WinnowText

/// Measures prefill and decode speed of a bound model, with the memory roof sampled between repetitions.
public struct SpeedBenchmark: Sendable {
    public var promptTokens = 512
    public var generateTokens = 128
    public var repeats = 5
    /// Reads a buffer as large as the weights between repetitions; off for quick tables.
    public var samplesBandwidth = true
    public var seed: UInt64 = 0

    public init() {}

    public struct Result: Sendable {
        /// Medians over the repetitions.
        public var prefillTokensPerSecond: Double
        public var decodeTokensPerSecond: Double
        public var prefillSamples: [Double]
        public var decodeSamples: [Double]
        /// Bytes of weights that a decoded token reads.
        public var bytesPerToken: Int
        /// Bytes a second sampled beside the decode runs; nil when not sampled.
        public var bandwidth: Double?
        /// Decode's share of that: bytes per token times tokens per second, over the sample.
        public var bandwidthShare: Double?
    }

    /// - Parameter progress: called with the repetitions done.
    /// - Throws: ``ModelError`` when cancelled.
    public func run(
        _ runner: ModelRunner, cancellation: CancellationFlag? = nil, progress: (Int) -> Void = { _ in }
    ) throws -> Result {
        var random = Random(seed: seed)
        let vocabulary = UInt64(runner.model.configuration.vocabularySize)
        let tokens = (0..<max(promptTokens, 1)).map { _ in TokenID(random.next() % vocabulary) }
        let sequence = runner.makeSequence(capacity: promptTokens + generateTokens + 1)
        let clock = ContinuousClock()
        let bytes = runner.model.bytesPerToken
        let memory = MemoryBandwidth(bytes: samplesBandwidth ? bytes : 64)
        var prefill: [Double] = []
        var decode: [Double] = []
        var roofs: [Double] = []
        var shares: [Double] = []
        for repetition in 0...repeats {
            // The first repetition warms caches and pages and is not counted.
            sequence.reset()
            var start = clock.now
            var rest = tokens[...]
            while promptTokens > 0, !rest.isEmpty {
                try advance(runner, sequence, rest.prefix(runner.configuration.chunk), cancellation)
                rest = rest.dropFirst(runner.configuration.chunk)
            }
            let prefillSeconds = (clock.now - start) / .seconds(1)
            // Decoding is measured from an empty context, as llama.cpp's tg rows are.
            sequence.reset()
            let roofBefore = samplesBandwidth ? memory.sample(on: runner.pool) : 0
            start = clock.now
            var token = tokens[0]
            for _ in 0..<generateTokens {
                try advance(runner, sequence, [token], cancellation)
                _ = try runner.logits(rows: 0..<1)
                token = TokenID(random.next() % vocabulary)
            }
            let decodeSeconds = (clock.now - start) / .seconds(1)
            let roofAfter = samplesBandwidth ? memory.sample(on: runner.pool) : 0
            guard repetition > 0 else { continue }
            if promptTokens > 0 { prefill.append(Double(promptTokens) / prefillSeconds) }
            if generateTokens > 0 {
                let speed = Double(generateTokens) / decodeSeconds
                decode.append(speed)
                if samplesBandwidth {
                    let roof = (roofBefore + roofAfter) / 2
                    roofs.append(roof)
                    shares.append(speed * Double(bytes) / roof)
                }
            }
            progress(repetition)
        }
        return Result(
            prefillTokensPerSecond: SpeedBenchmark.median(prefill),
            decodeTokensPerSecond: SpeedBenchmark.median(decode),
            prefillSamples: prefill, decodeSamples: decode, bytesPerToken: bytes,
            bandwidth: roofs.isEmpty ? nil : SpeedBenchmark.median(roofs),
            bandwidthShare: shares.isEmpty ? nil : SpeedBenchmark.median(shares))
    }

    private func advance(
        _ runner: ModelRunner, _ sequence: KVSequence, _ tokens: ArraySlice<TokenID>,
        _ cancellation: CancellationFlag?
    ) throws {
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run(cancellation: cancellation)
    }

    /// The middle of the values, or the mean of the two middle ones; 0 of none.
    public static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
