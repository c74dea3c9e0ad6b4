import WinnowCore
import WinnowModels
import WinnowText

extension SpeedBenchmark {
    /// How long an encoder takes for a text, one at a time.
    public struct TextResult: Sendable {
        /// From a text's ids to its last states: the median over the repetitions.
        public var millisecondsPerText: Double { SpeedBenchmark.median(samples) }
        /// Of each repetition the median of its texts, in milliseconds.
        public var samples: [Double] = []
    }

    /// Texts of a repetition.
    public static let textsAtOnce = 10

    /// Runs random texts of `length` tokens through several encoders in turns, so that a machine that drifts meets
    /// all of them alike.
    ///
    /// - Parameter runners: with room for `length` tokens in a step.
    /// - Returns: a result for each runner, in order.
    /// - Throws: ``ModelError`` for a text that is longer than a model takes, or when cancelled.
    public func run(
        _ runners: [ModelRunner], texts length: Int, cancellation: CancellationFlag? = nil,
        progress: (Int) -> Void = { _ in }
    ) throws -> [TextResult] {
        var random = Random(seed: seed)
        let clock = ContinuousClock()
        var results = [TextResult](repeating: TextResult(), count: runners.count)
        for repetition in 0...repeats {
            let order = repetition.isMultiple(of: 2) ? Array(runners.indices) : runners.indices.reversed()
            for index in order {
                let runner = runners[index]
                let vocabulary = UInt64(runner.model.configuration.vocabularySize)
                let sequence = runner.makeSequence(capacity: length)
                var times: [Double] = []
                for _ in 0..<SpeedBenchmark.textsAtOnce {
                    let text = (0..<length).map { _ in TokenID(random.next() % vocabulary) }
                    sequence.reset()
                    let start = clock.now
                    runner.begin()
                    try text.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                    try runner.run(cancellation: cancellation)
                    _ = runner.states()
                    times.append((clock.now - start) / .milliseconds(1))
                }
                // The first repetition warms caches and pages and is not counted.
                if repetition > 0 { results[index].samples.append(SpeedBenchmark.median(times)) }
            }
            if repetition > 0 { progress(repetition) }
        }
        return results
    }
}
