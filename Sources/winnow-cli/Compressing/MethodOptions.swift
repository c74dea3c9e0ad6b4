import ArgumentParser
import WinnowCompress
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowCore
import WinnowWeights

/// The settings of pruning methods, under their recipe keys in kebab case. What a method has no key for it refuses.
struct MethodOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Share of zeros, 0 up to, but not including, 1 (default: 0.5).", valueName: "share"))
    var sparsity: Double?
    @Option(
        help: ArgumentHelp(
            "Keep N of each M consecutive weights, e.g. 2:4, or whole blocks of them, e.g. 1x4.",
            valueName: "n:m"))
    var pattern: SparsityPattern?
    @Option(
        help: ArgumentHelp(
            "Among which weights the smallest are looked for: row, matrix, global (default: the method's).",
            valueName: "scope"))
    var scope: SelectionScope?
    @Option(help: ArgumentHelp("How sparsity is shared out: uniform, erk, owl, profile.", valueName: "rule"))
    var allocation = Allocation.uniform
    @Option(
        help: ArgumentHelp("owl: how many times their mean makes a score an outlier.", valueName: "times"))
    var owlThreshold = 5.0
    @Option(
        help: ArgumentHelp("owl: how far densities of blocks may differ from their mean.", valueName: "share")
    )
    var owlSpread = 0.08
    @Option(
        help: ArgumentHelp("profile: the model whose layers' zeros to follow.", valueName: "model"),
        completion: .file())
    var profile: String?
    @Option(help: ArgumentHelp("sparsegpt: columns of a block (default: 128).", valueName: "columns"))
    var blockSize: Int?
    @Option(
        help: ArgumentHelp(
            "sparsegpt, dsnot: added to the Hessian's diagonal, a share of its mean (default: 0.01).",
            valueName: "share"))
    var damping: Double?
    @Flag(help: "sparsegpt: calibrate each layer on what the pruned ones before it in its block make.")
    var trueSequential = false
    @Flag(help: "sparsegpt: round to the stored grid after the sweep, not in it.") var roundAfter = false
    @Option(
        help: ArgumentHelp("dsnot: the mask to begin with: magnitude, wanda, sparsegpt.", valueName: "method")
    )
    var start: DSnoT.Start?
    @Option(help: ArgumentHelp("dsnot: the most swaps of a row (default: 50).", valueName: "count"))
    var cycles: Int?
    @Option(
        help: ArgumentHelp(
            "dsnot: the error under which a row is left alone (default: 0.1).", valueName: "error"))
    var threshold: Double?
    @Option(
        help: ArgumentHelp(
            "dsnot: power of the variance that returns are weighed by (default: 1).", valueName: "power"))
    var variancePower: Double?
    @Option(
        help: ArgumentHelp(
            "dsnot: paper, or reference for the code's units and variances.", valueName: "kind"))
    var statistics: DSnoT.Statistics?
    @Option(
        help: ArgumentHelp("dsnot: which swaps are made: any, same_sign, strict_decrease.", valueName: "rule")
    )
    var acceptance: DSnoT.Acceptance?
    @Flag(help: "dsnot: leave gate, up and down as the start made them.") var skipFeedForward = false
    @Flag(help: "dsnot from sparsegpt: weights that stay make up for the others in the end.") var repair =
        false

    enum Allocation: String, CaseIterable, ExpressibleByArgument { case uniform, erk, owl, profile }

    func validate() throws {
        guard (allocation == .profile) == (profile != nil) else {
            throw ValidationError("--allocation profile and --profile MODEL come together")
        }
        guard owlThreshold > 0, owlSpread >= 0, owlSpread < 0.5 else {
            throw ValidationError("--owl-threshold is over 0, --owl-spread from 0 up to, not including, 0.5")
        }
    }

    /// What was given, under the keys of a configuration.
    var values: JSONObject {
        var values = JSONObject()
        if let sparsity { values["sparsity"] = .number(sparsity) }
        if let pattern { values["pattern"] = pattern.json }
        if let scope { values["scope"] = scope.json }
        if let blockSize { values["block_size"] = blockSize.json }
        if let damping { values["damping"] = damping.json }
        if trueSequential { values["true_sequential"] = true }
        if roundAfter { values["joint"] = false }
        if let start { values["start"] = start.json }
        if let cycles { values["cycles"] = cycles.json }
        if let threshold { values["threshold"] = threshold.json }
        if let variancePower { values["variance_power"] = variancePower.json }
        if let statistics { values["statistics"] = statistics.json }
        if let acceptance { values["acceptance"] = acceptance.json }
        if skipFeedForward { values["skip_feed_forward"] = true }
        if repair { values["repair"] = true }
        return values
    }

    /// - Throws: `CheckpointError` for a profile that is no model.
    func makeAllocation(_ running: RunOptions) throws -> SparsityAllocation {
        switch allocation {
        case .uniform: return .uniform
        case .erk: return .erdosRenyi
        case .owl: return .outliers(threshold: owlThreshold, spread: owlSpread)
        case .profile:
            let model = try LanguageModel(Checkpoint.open(profile!))
            return .profile(
                PrunableLayers(model).sparsities(on: try KernelPool(threads: running.threadCount)))
        }
    }
}

extension DSnoT.Start: ExpressibleByArgument {}
extension DSnoT.Statistics: ExpressibleByArgument {}
extension DSnoT.Acceptance: ExpressibleByArgument {}
