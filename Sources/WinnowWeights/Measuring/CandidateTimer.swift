import WinnowCore

/// Times matrices that stand for one another, so that the fastest is told from the next.
///
/// Each alone first; those near the fastest then in turns, so that a machine that drifts meets all of them alike.
public struct CandidateTimer: Sendable {
    /// The most bytes that the copies of one candidate take.
    public var workingSet: Int
    /// Weights of the model: copies are made until they are as many, so that weights come from where they will be in a
    /// run, memory or a cache.
    public var modelWeights: Int
    public var activations: ActivationMode
    /// Candidates that are measured in turns.
    public var finalists = 4
    public var rounds = 11
    /// About how long a sample of one candidate takes.
    public var seconds = 0.01

    public init(workingSet: Int, modelWeights: Int, activations: ActivationMode) {
        self.workingSet = workingSet
        self.modelWeights = modelWeights
        self.activations = activations
    }

    /// Seconds of a product with one row over each: medians.
    public func measure(_ candidates: [WeightMatrix], on pool: KernelPool) throws -> [Double] {
        var seconds = try candidates.map { matrix -> Double in
            let timer = try timer(matrix, on: pool)
            return median(try (0..<3).map { _ in try sample(timer, on: pool) })
        }
        let order = seconds.indices.sorted { seconds[$0] < seconds[$1] }
        let last = Array(order.prefix(finalists).filter { seconds[$0] < 1.5 * seconds[order[0]] })
        guard last.count > 1 else { return seconds }
        let timers = try last.map { try timer(candidates[$0], on: pool) }
        var samples = [[Double]](repeating: [], count: last.count)
        for round in 0..<rounds {
            // Forward and back in turns: none is always first.
            let turn = round.isMultiple(of: 2) ? Array(last.indices) : last.indices.reversed()
            for place in turn { samples[place].append(try sample(timers[place], on: pool)) }
        }
        for (place, index) in last.enumerated() { seconds[index] = median(samples[place]) }
        return seconds
    }

    /// The most that ``measure(_:on:)`` holds beside the candidates.
    public var bytes: Int { finalists * workingSet }

    private func timer(_ matrix: WeightMatrix, on pool: KernelPool) throws -> ProductTimer {
        let copies = (modelWeights + matrix.count - 1) / matrix.count
        return try ProductTimer(
            matrix, workingSet: min(workingSet, copies * matrix.byteCount), mode: activations, on: pool)
    }

    private func sample(_ timer: ProductTimer, on pool: KernelPool) throws -> Double {
        try timer.sample(tokens: 1, seconds: seconds, on: pool)
    }
}
