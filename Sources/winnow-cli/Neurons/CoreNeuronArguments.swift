import ArgumentParser
import WinnowCore
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport

/// Blocks as people write them: `5-25`, or one: `7`.
struct LayerRange: ExpressibleByArgument {
    let range: ClosedRange<Int>

    init?(argument: String) {
        let parts = argument.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1],
            first <= last
        else { return nil }
        range = first...last
    }
}

extension NeuronPredicate.Ranking: ExpressibleByArgument {}
extension CoreNeuronOptions.Mode: ExpressibleByArgument {}

/// Options of `generate` and `chat` that leave out neurons which the prompt does not use.
struct CoreNeuronArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Decode with this share of the feed-forward neurons, those that the prompt uses most; the text changes.",
            valueName: "beta"))
    var coreNeurons: Double?
    @Option(
        help: ArgumentHelp(
            "The share of a token's active neurons that count as used (default: 0.4).", valueName: "alpha"))
    var coreAlpha: Double?
    @Option(
        help: ArgumentHelp(
            "Blocks that leave neurons out, from 0 on (default: all but the first and last sixth, about).",
            valueName: "a-b"))
    var coreLayers: LayerRange?
    @Option(
        help:
            "Choose by the prompt, by similar texts of --core-profile, or by whichever fits (default: auto with a profile, else stability)."
    )
    var coreMode: CoreNeuronOptions.Mode?
    @Option(help: "What 'winnow neurons' made of this model.", completion: .file())
    var coreProfile: String?
    @Option(help: "A neuron is active above zero, or by its size (default: sign).")
    var coreBy: NeuronPredicate.Ranking?

    func validate() throws {
        guard let coreNeurons else {
            let others: [(String, Bool)] = [
                ("--core-alpha", coreAlpha != nil), ("--core-layers", coreLayers != nil),
                ("--core-mode", coreMode != nil), ("--core-profile", coreProfile != nil),
                ("--core-by", coreBy != nil),
            ]
            if let name = others.first(where: \.1)?.0 {
                throw ValidationError("\(name) needs --core-neurons")
            }
            return
        }
        for (name, share) in [("--core-neurons", coreNeurons), ("--core-alpha", coreAlpha ?? 1)] {
            guard share > 0, share <= 1 else {
                throw ValidationError("\(name) must be more than 0 and at most 1, not \(share)")
            }
        }
        if mode != .stability, coreProfile == nil {
            throw ValidationError("--core-mode \(mode.rawValue) needs --core-profile")
        }
        guard coreProfile != nil else { return }
        if mode == .stability { throw ValidationError("--core-mode stability reads no --core-profile") }
        if coreAlpha != nil || coreBy != nil {
            throw ValidationError("--core-alpha and --core-by are as in the --core-profile; leave them out")
        }
    }

    private var mode: CoreNeuronOptions.Mode { coreMode ?? (coreProfile == nil ? .stability : .auto) }

    func options() throws -> CoreNeuronOptions? {
        try coreNeurons.map { beta in
            CoreNeuronOptions(
                try NeuronPredicate(ranking: coreBy ?? .sign, alpha: coreAlpha ?? 0.4, beta: beta),
                mode: mode, layers: coreLayers?.range, profile: coreProfile)
        }
    }
}

extension CoreNeuronReport {
    var json: JSONValue {
        var object = JSONObject([
            ("mode", .string(plan.origin.name)), ("share", .number(plan.share)),
            ("layers", .array(plan.layers.map { $0.map { .integer(Int64($0.count)) } ?? .null })),
            ("packedBytes", .integer(Int64(packedBytes))), ("wholeBytes", .integer(Int64(wholeBytes))),
            ("seconds", .number(seconds)),
        ])
        if case .similarity(let cluster) = plan.origin { object["cluster"] = .integer(Int64(cluster)) }
        if let overlap = plan.overlap { object["overlap"] = .number(overlap) }
        return .object(object)
    }

    var text: String {
        let kept = plan.layers.compactMap(\.self)
        guard !kept.isEmpty else { return "all neurons, " }
        return "\(Format.percent(plan.share)) of the neurons of \(kept.count) layers (\(plan.origin.name)), "
    }
}

extension NeuronPlan.Origin {
    var name: String {
        switch self {
        case .dense: "dense"
        case .stability: "stability"
        case .similarity: "similarity"
        case .fixed(let name): name
        }
    }
}
