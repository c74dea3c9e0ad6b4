import WinnowCore
import WinnowModels

extension SpeedBenchmark {
    /// Measures several models in turns, so that a machine that drifts meets all of them alike.
    ///
    /// Each of the `repeats` rounds runs every model once, after a run that is not counted; rounds go forward and
    /// back in turns, so that no model is always first.
    ///
    /// - Returns: a result for each runner, in order; medians over the rounds.
    /// - Parameter progress: called with the rounds done.
    public func runInTurns(
        _ runners: [ModelRunner], cancellation: CancellationFlag? = nil, progress: (Int) -> Void = { _ in }
    ) throws -> [Result] {
        var once = self
        once.repeats = 1
        var rounds = [[Result]](repeating: [], count: runners.count)
        for round in 0..<repeats {
            let order = round.isMultiple(of: 2) ? Array(runners.indices) : runners.indices.reversed()
            for index in order {
                rounds[index].append(try once.run(runners[index], cancellation: cancellation))
            }
            progress(round + 1)
        }
        return rounds.map { results in
            let prefill = results.flatMap(\.prefillSamples)
            let decode = results.flatMap(\.decodeSamples)
            let roofs = results.compactMap(\.bandwidth)
            let shares = results.compactMap(\.bandwidthShare)
            return Result(
                prefillTokensPerSecond: SpeedBenchmark.median(prefill),
                decodeTokensPerSecond: SpeedBenchmark.median(decode), prefillSamples: prefill,
                decodeSamples: decode, bytesPerToken: results.first?.bytesPerToken ?? 0,
                bandwidth: roofs.isEmpty ? nil : SpeedBenchmark.median(roofs),
                bandwidthShare: shares.isEmpty ? nil : SpeedBenchmark.median(shares))
        }
    }
}
