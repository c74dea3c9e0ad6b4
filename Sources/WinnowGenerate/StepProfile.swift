import WinnowCore
import WinnowModels
import WinnowText

/// Measures where the time of decode and prefill steps goes, stage by stage, beside the roofs of this machine.
public struct StepProfile: Sendable {
    public var promptTokens = 512
    /// Steps of a decode run, from an empty context.
    public var generateTokens = 32
    /// Counted repetitions, after one that is not.
    public var repeats = 3
    public var seed: UInt64 = 0

    public init() {}

    /// A stage of one block, or of none.
    public struct Part: Sendable {
        /// nil: outside of the blocks.
        public let block: Int?
        public let stage: StepClock.Stage
        /// Of one step: the median over the repetitions of their means.
        public let seconds: Double
        /// Of one step.
        public let cost: StepCost
    }

    /// Decode or prefill.
    public struct Phase: Sendable {
        /// Rows of a step: 1, or the prompt's.
        public let tokens: Int
        public let parts: [Part]
        /// Medians of the samples beside the runs: bytes per second of reading as many bytes as the weights, operations
        /// per second.
        public let bandwidth: Double
        public let f32Peak: Double
        public let int8Peak: Double

        /// Seconds of a step, all parts together.
        public var seconds: Double { parts.reduce(0) { $0 + $1.seconds } }

        /// The sum of the parts for which `isWanted` holds.
        public func sum(where isWanted: (Part) -> Bool) -> Sum {
            var sum = Sum(seconds: 0, cost: StepCost(), standing: .init(memoryShare: 0, arithmeticShare: 0))
            for part in parts where isWanted(part) {
                sum.seconds += part.seconds
                sum.cost = sum.cost + part.cost
            }
            sum.standing = sum.cost.standing(
                seconds: sum.seconds, bandwidth: bandwidth, f32Peak: f32Peak, int8Peak: int8Peak)
            return sum
        }
    }

    /// Parts of a step together.
    public struct Sum: Sendable, Equatable {
        public var seconds: Double
        public var cost: StepCost
        public var standing: Roofline.Standing
    }

    public struct Result: Sendable {
        public let decode: Phase
        public let prefill: Phase
        /// Bytes of weights that a decoded token reads, and of the buffer that the memory roof was sampled on.
        public let bytesPerToken: Int
    }

    /// - Parameter runner: its chunk is at least `promptTokens`; its clock is set and taken away again.
    /// - Parameter progress: called with the repetitions done and their number.
    public func run(_ runner: ModelRunner, progress: (Int, Int) -> Void = { _, _ in }) throws -> Result {
        precondition(
            runner.configuration.chunk >= promptTokens, "a prompt of \(promptTokens) tokens in one step")
        let clock = StepClock(blocks: runner.model.blocks.count)
        runner.stepClock = clock
        defer { runner.stepClock = nil }
        var random = Random(seed: seed)
        let vocabulary = UInt64(runner.model.configuration.vocabularySize)
        let tokens = (0..<max(promptTokens, generateTokens)).map { _ in TokenID(random.next() % vocabulary) }
        let sequence = runner.makeSequence(capacity: tokens.count)
        let memory = MemoryBandwidth(bytes: runner.model.bytesPerToken)
        var decode = PhaseSamples(runner, steps: generateTokens, rows: 1)
        var prefill = PhaseSamples(runner, steps: 1, rows: promptTokens)
        for repetition in 0...repeats {
            // The first repetition warms caches and pages and is not counted.
            let counts = repetition > 0
            sequence.reset()
            clock.reset()
            prefill.sampleRoofs(memory, runner.pool, counts)
            try advance(runner, sequence, tokens.prefix(promptTokens))
            prefill.take(clock, counts)
            prefill.sampleRoofs(memory, runner.pool, counts)
            sequence.reset()
            clock.reset()
            decode.sampleRoofs(memory, runner.pool, counts)
            for token in tokens.prefix(generateTokens) { try advance(runner, sequence, [token]) }
            decode.take(clock, counts)
            decode.sampleRoofs(memory, runner.pool, counts)
            progress(repetition, repeats)
        }
        return Result(
            decode: decode.phase(runner), prefill: prefill.phase(runner),
            bytesPerToken: runner.model.bytesPerToken)
    }

    private func advance(_ runner: ModelRunner, _ sequence: KVSequence, _ tokens: ArraySlice<TokenID>) throws
    {
        runner.begin()
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        _ = try runner.logits(rows: tokens.count - 1..<tokens.count)
    }
}

/// The samples of one phase.
private struct PhaseSamples {
    let steps: Int
    let rows: Int
    let places: [(block: Int?, stage: StepClock.Stage)]
    var seconds: [[Double]]
    var bandwidths: [Double] = []
    var f32Peaks: [Double] = []
    var int8Peaks: [Double] = []

    init(_ runner: ModelRunner, steps: Int, rows: Int) {
        self.steps = steps
        self.rows = rows
        let inside = runner.model.blocks.indices.flatMap { block in
            StepClock.Stage.allCases.filter { $0 != .embedding && $0 != .head }.map { (Optional(block), $0) }
        }
        places = [(nil, .embedding)] + inside + [(nil, .head)]
        seconds = Array(repeating: [], count: places.count)
    }

    mutating func sampleRoofs(_ memory: borrowing MemoryBandwidth, _ pool: KernelPool, _ counts: Bool) {
        let bandwidth = memory.sample(on: pool)
        let peaks = (ArithmeticPeak.f32.sample(on: pool), ArithmeticPeak.int8.sample(on: pool))
        guard counts else { return }
        bandwidths.append(bandwidth)
        f32Peaks.append(peaks.0 ?? 0)
        int8Peaks.append(peaks.1 ?? 0)
    }

    mutating func take(_ clock: StepClock, _ counts: Bool) {
        guard counts else { return }
        for (index, place) in places.enumerated() {
            seconds[index].append(clock.seconds(place.stage, block: place.block) / Double(steps))
        }
    }

    func phase(_ runner: ModelRunner) -> StepProfile.Phase {
        let counters = (0..<steps).map { step in
            StepCounter(
                runner.model, activations: runner.configuration.activations,
                kvType: runner.configuration.kvType, tokens: rows, after: step * rows)
        }
        let parts = places.enumerated().compactMap { index, place -> StepProfile.Part? in
            // What a model has not (a router) takes no time.
            let time = SpeedBenchmark.median(seconds[index])
            let cost = counters.reduce(StepCost()) { $0 + $1.cost(place.stage, block: place.block) }
            guard time > 0 || cost != StepCost() else { return nil }
            return StepProfile.Part(
                block: place.block, stage: place.stage, seconds: time, cost: cost * (1 / Double(steps)))
        }
        return StepProfile.Phase(
            tokens: rows, parts: parts, bandwidth: SpeedBenchmark.median(bandwidths),
            f32Peak: SpeedBenchmark.median(f32Peaks), int8Peak: SpeedBenchmark.median(int8Peaks))
    }
}
