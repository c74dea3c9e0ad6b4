import ArgumentParser
import WinnowCore
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport

/// Where weights are while a model runs: options of the verbs that can stream them.
struct WeightOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where weights are: resident in memory, in the mapped file, streamed from disk at every step, or auto: "
                + "in memory what fits --memory-limit, the rest streamed.",
            valueName: "place"))
    var weights: WeightPlacement?

    @Flag(help: "Stream through the page cache instead of past it.")
    var cachedReads = false

    /// Whether this or `--memory-limit` was given: what answers then say of weights.
    func isAsked(_ running: RunOptions) -> Bool {
        weights != nil || cachedReads || running.memoryLimit != nil
    }

    /// Whether weights will be read by themselves: the mapped file is not to be read ahead.
    func readsAlone(_ running: RunOptions) -> Bool { isAsked(running) && weights != .mapped }

    /// What is wanted; nil where nothing was asked for and `plan` fits the machine: the mapped file does.
    func request(_ running: RunOptions, unless plan: MemoryPlan) -> WeightRequest? {
        guard isAsked(running) || plan.total > running.memoryBytes else { return nil }
        var request = WeightRequest()
        request.placement = weights ?? .auto
        // Streaming without a limit keeps as little as it can.
        request.limit = weights == .streamed ? running.memoryLimit?.bytes : running.memoryBytes
        request.readsCached = cachedReads
        request.reservedBytes = Machine.ownBytes
        return request
    }
}

extension WeightPlacement: ExpressibleByArgument {}

extension WeightPlan {
    var json: JSONObject {
        var object = JSONObject([
            ("placement", .string(placement.rawValue)), ("blocks", .integer(Int64(blocks))),
            ("streamedBlocks", .integer(Int64(streamedBlocks.count))), ("streamsHead", .bool(streamsHead)),
            ("residentBytes", .integer(Int64(residentBytes))), ("ringBytes", .integer(Int64(ringBytes))),
            ("bytesPerStep", .integer(Int64(bytesPerStep))), ("readsDirectly", .bool(readsDirectly)),
        ])
        object["diskBytesPerSecond"] = diskBytesPerSecond.map { .number($0) } ?? .null
        object["predictedStepsPerSecond"] = predictedStepsPerSecond.map { .number($0) } ?? .null
        return object
    }
}

extension StreamStatistics {
    /// Bytes a second that came from disk while it was read, and the share of time that computing waited.
    var summary: String {
        "\(Format.bytes(bytesRead)) read from disk at \(Format.fixed(Double(bytesRead) / max(readSeconds, 1e-9) / 1e6, 0)) MB/s, "
            + "\(Format.fixed(waitSeconds, 1)) s waited for it"
    }
}
