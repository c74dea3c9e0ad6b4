import ArgumentParser
import WinnowCore
import WinnowData
import WinnowEval
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText

struct EvalNeuronsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neurons",
        abstract:
            "Perplexity and decode speed with fewer feed-forward neurons, beside rivals that keep as many.",
        discussion: """
            The first half of each window is read with the whole model, and scores come from its second half, read with \
            the neurons that were chosen after the first: what generate --core-neurons does. Rivals keep as many \
            neurons at random, by the norms of their weights and, with --profile, those that other texts use most. \
            Speed is that of decoding after one prompt, with and without, in turns.

            Examples:
              winnow eval neurons --model smollm2-135m-q4_1 --text book.txt
              winnow eval neurons --model smollm2-135m-q4_1 --text book.txt --layers 0-29 \\
                --betas 0.5 --profile other.neurons --output neurons
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp("A text file, or .jsonl with one {\"text\": …} a line.", valueName: "file"),
        completion: .file())
    var text: String
    @Option(help: ArgumentHelp("Shares of neurons to keep.", valueName: "b1,b2…"))
    var betas = "0.8,0.6,0.4,0.2"
    @Option(help: "The share of a token's active neurons that count as used.") var alpha = 0.4
    @Option(
        help: ArgumentHelp(
            "Blocks that leave neurons out, from 0 on (default: all but the first and last sixth, about).",
            valueName: "a-b"))
    var layers: LayerRange?
    @Option(help: "What 'winnow neurons' made of this model.", completion: .file()) var profile: String?
    @Option(help: "Tokens of a window.") var window = 512
    @Option(help: "The most windows to score.") var maxWindows = 20
    @Option(help: "Tokens of a decode run; 0 measures no speed.") var generateTokens = 64
    @Option(help: "Pairs of decode runs.") var repeats = 5
    @Option(
        name: .customLong("output"), help: "A folder for report.html and neurons.json.",
        completion: .directory)
    var destination: String?
    @Flag(help: "Replace an existing output.") var overwrite = false

    private func shares() throws -> [Double] {
        let shares = betas.split(separator: ",").map { Double($0) ?? 0 }
        guard !shares.isEmpty, shares.allSatisfy({ $0 > 0 && $0 <= 1 }) else {
            throw ValidationError("--betas takes shares over 0, at most 1, with commas, not '\(betas)'")
        }
        return shares
    }

    func validate() throws {
        _ = try shares()
        guard alpha > 0, alpha <= 1 else {
            throw ValidationError("--alpha must be more than 0 and at most 1, not \(alpha)")
        }
        guard window >= 4 else { throw ValidationError("--window is at least 4, not \(window)") }
        guard maxWindows >= 1, repeats >= 1, generateTokens >= 0 else {
            throw ValidationError(
                "--max-windows and --repeats are at least 1, --generate-tokens at least 0")
        }
    }

    func run() async throws {
        if let destination {
            try AtomicOutput.check(destination, .folder, overwrite: overwrite, mark: "neurons.json")
        }
        let source = try TextSource(reading: text)
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        let scope = try NeuronScope(loaded.model, layers: layers?.range)
        let read = try profile.map { try NeuronProfile(reading: $0) }
        if let profile { try read?.check(loaded.model, file: profile) }
        var configuration = running.runnerConfiguration(chunk: min(max(window / 2, 64), 512))
        configuration.logitRows = 64
        let runner = try ModelRunner(loaded.model, configuration)
        try running.admit(memoryPlan(runner, scope), output)

        let variants = try makeVariants(loaded.model, scope, read, on: runner.pool)
        let tokenizer = loaded.tokenizer
        let ids = tokenizer.encode(bytes: source.joined, special: .asText, addBOS: tokenizer.addsBOS)
        var perplexity = NeuronPerplexity()
        perplexity.window = window
        perplexity.maxWindows = maxWindows
        let progress = ProgressPrinter(output)
        let found = try perplexity.evaluate(
            ids, bos: tokenizer.addsBOS ? tokenizer.bosID : nil, on: runner, policies: variants.map(\.policy)
        ) { progress.update("scoring", $0, of: $1, "windows") }
        let speeds = try measureSpeeds(ids, variants, runner)
        let report = NeuronReport(
            scope: scope, betas: try shares(), variants: variants, found: found, speeds: speeds,
            window: window, alpha: alpha, source: source, activations: running.activations.rawValue,
            model: model.model, generateTokens: generateTokens, repeats: repeats)
        if let destination { try write(report.page, to: destination) }
        if output.json { return StandardOutput.write(report.json) }
        StandardOutput.write(report.text)
        if let destination { output.note("The page: \(destination)/report.html") }
    }

    private func memoryPlan(_ runner: ModelRunner, _ scope: NeuronScope) throws -> MemoryPlan {
        var plan = runner.memoryPlan(tokens: window + generateTokens)
        let largest = try shares().filter { $0 < 1 }.max() ?? 0
        plan.add(
            "the neurons of a plan, packed",
            bytes: scope.layers.reduce(0) {
                $0 + (runner.model.blocks[$1].feedForward?.packedBytes(share: largest) ?? 0)
            })
        return plan
    }

    /// Dense first, then each share's rivals.
    private func makeVariants(
        _ model: LanguageModel, _ scope: NeuronScope, _ profile: NeuronProfile?, on pool: KernelPool
    ) throws -> [NeuronReport.Variant] {
        let all = AllNeurons(scope, try NeuronPredicate(alpha: alpha, beta: 1))
        let norms = FixedNeurons.weightNorm(model, scope, all.predicate, on: pool)
        var variants = [NeuronReport.Variant(name: "all", beta: 1, policy: all)]
        for beta in try shares() {
            let sign = try NeuronPredicate(alpha: alpha, beta: beta)
            let magnitude = try NeuronPredicate(ranking: .magnitude, alpha: alpha, beta: beta)
            var policies: [(String, any NeuronPolicy)] = [
                ("core", CoreNeurons(scope, sign)), ("core by |a|", CoreNeurons(scope, magnitude)),
            ]
            if let profile {
                policies.append(("similarity", try ClusterNeurons(scope, beta: beta, profile)))
                policies.append(("static", FixedNeurons.profile(profile, scope, sign)))
            }
            policies.append(("weight norm", norms.keeping(sign)))
            policies.append(("random", FixedNeurons.random(scope, sign, seed: running.seed)))
            variants += policies.map { NeuronReport.Variant(name: $0.0, beta: beta, policy: $0.1) }
        }
        return variants
    }

    /// Of the first policy of each share; others keep as many neurons.
    private func measureSpeeds(
        _ ids: [TokenID], _ variants: [NeuronReport.Variant], _ runner: ModelRunner
    ) throws -> [Double: SpeedBenchmark.NeuronSpeed] {
        guard generateTokens > 0 else { return [:] }
        var benchmark = SpeedBenchmark()
        benchmark.generateTokens = generateTokens
        benchmark.repeats = repeats
        let prompt = min(window / 2, runner.model.configuration.tokenLimit - generateTokens)
        guard prompt > 1, ids.count >= prompt + generateTokens else {
            throw PerplexityError.textTooShort(tokens: ids.count, window: window / 2 + generateTokens)
        }
        var speeds: [Double: SpeedBenchmark.NeuronSpeed] = [:]
        for variant in variants where variant.name == "core" {
            let policy = variant.policy
            let counter = NeuronCounter(
                runner.model, policy.predicate, layers: policy.layers, tokens: prompt, on: runner.pool)
            try runner.read(
                ids[..<prompt], into: runner.makeSequence(capacity: prompt), counting: counter)
            let packed = try runner.pack(try policy.plan(after: counter))
            speeds[variant.beta] = try benchmark.neurons(
                runner, packed, tokens: Array(ids[..<(prompt + generateTokens)]))
        }
        return speeds
    }

    private func write(_ page: Page, to path: String) throws {
        let folder = try AtomicOutput(path, .folder, overwrite: overwrite, mark: "neurons.json")
        try OutputFile.write(page.html, to: folder.partialPath + "/report.html")
        try OutputFile.write(page.json, to: folder.partialPath + "/neurons.json")
        try folder.commit()
    }
}
