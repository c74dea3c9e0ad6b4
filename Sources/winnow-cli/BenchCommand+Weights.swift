import ArgumentParser
import WinnowModels
import WinnowReport

extension BenchCommand {
    /// Puts the weights where the options say; nil when they say nothing: the mapped file, or memory.
    func placeWeights(of runner: ModelRunner, texts: Int) throws -> WeightPlan? {
        guard weights.isAsked(running) else { return nil }
        let plan = runner.memoryPlan(tokens: promptTokens + generateTokens + 1, sequences: texts)
        guard var request = weights.request(running, unless: plan) else { return nil }
        request.cacheBytes = plan.total - runner.memoryPlan(tokens: 0).total
        let placed = try runner.placeWeights(request)
        output.note("\(placed)")
        return placed
    }

    /// Says how much of the disk's speed was reached, when weights were streamed.
    func showReads(_ runner: ModelRunner, stepsPerSecond: Double?) {
        guard !output.json, let store = runner.store, let statistics = store.statistics, let stepsPerSecond,
            let disk = store.plan.diskBytesPerSecond
        else { return }
        let reached = stepsPerSecond * Double(store.plan.bytesPerStep)
        StandardOutput.write(
            "\(Format.bytes(store.plan.bytesPerStep)) a step from disk: \(Format.fixed(reached / 1e6, 0)) MB/s, "
                + "\(Format.percent(reached / disk)) of the \(Format.fixed(disk / 1e6, 0)) MB/s measured before; "
                + "\(statistics.summary)\n")
    }
}
