import WinnowCore
import WinnowModels
import WinnowText

extension SpeedBenchmark {
    /// Decode speed of several texts at once.
    public struct BatchResult: Sendable {
        public var batch: Int
        /// Tokens a second of all texts together: the median over the repetitions.
        public var tokensPerSecond: Double
    }

    /// Decodes `generateTokens` steps of each batch size, all sizes in turns.
    ///
    /// - Parameter runner: its `logitRows` are at least the largest size.
    public func run(
        _ runner: ModelRunner, batches: [Int], cancellation: CancellationFlag? = nil,
        progress: (Int) -> Void = { _ in }
    ) throws -> [BatchResult] {
        var random = Random(seed: seed)
        let vocabulary = UInt64(runner.model.configuration.vocabularySize)
        let sequences = (0..<(batches.max() ?? 0)).map { _ in
            runner.makeSequence(capacity: generateTokens + 1)
        }
        let clock = ContinuousClock()
        var samples = [[Double]](repeating: [], count: batches.count)
        for repetition in 0...repeats {
            for (place, batch) in batches.enumerated() {
                for sequence in sequences { sequence.reset() }
                let start = clock.now
                for _ in 0..<generateTokens {
                    runner.begin()
                    for sequence in sequences.prefix(batch) {
                        try withUnsafePointer(to: TokenID(random.next() % vocabulary)) {
                            try runner.append(UnsafeBufferPointer(start: $0, count: 1), to: sequence)
                        }
                    }
                    try runner.run(cancellation: cancellation)
                    _ = try runner.logits(rows: 0..<batch)
                }
                // The first repetition warms caches and pages and is not counted.
                if repetition > 0 {
                    samples[place].append(
                        Double(batch * generateTokens) / ((clock.now - start) / .seconds(1)))
                }
            }
            if repetition > 0 { progress(repetition) }
        }
        return zip(batches, samples).map {
            BatchResult(batch: $0, tokensPerSecond: SpeedBenchmark.median($1))
        }
    }
}
