import Foundation
import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowTrain
import WinnowWeights

@Suite struct RunningAdapterTests {
    static func adapter(
        _ model: LanguageModel, seed: UInt64, targets: [String] = ["all-linear"], rank: Int = 3
    ) throws -> LowRankAdapter {
        var configuration = LowRankConfiguration()
        configuration.rank = rank
        configuration.alpha = 6
        configuration.targets = targets
        let adapter = try LowRankAdapter(configuration, for: model, seed: seed)
        var random = Random(seed: seed + 1)
        for pair in adapter.pairs {
            for index in pair.up.values.indices { pair.up.values[index] = 0.05 * random.normal() }
        }
        return adapter
    }

    static func runner(_ model: LanguageModel, threads: Int = 2, chunk: Int = 16) throws -> ModelRunner {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = chunk
        configuration.logitRows = 16
        return try ModelRunner(model, configuration)
    }

    static func logits(
        _ runner: ModelRunner, _ tokens: [TokenID], _ adapter: RunningAdapter?
    ) throws -> [Float] {
        let sequence = runner.makeSequence(capacity: 64, adapter: adapter)
        var all: [Float] = []
        var rest = tokens[...]
        while !rest.isEmpty {
            let part = rest.prefix(runner.configuration.chunk)
            runner.begin()
            try part.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            try runner.run()
            all += Array(try runner.logits(rows: 0..<part.count))
            rest = rest.dropFirst(part.count)
        }
        return all
    }

    static let tokens: [TokenID] = (0..<21).map { TokenID(3 + $0 * 5 % 53) }

    static func model(_ name: String) throws -> LanguageModel {
        try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/\(name)"))
    }

    /// Beside the base an adapter answers as merged into it: grouped queries, fused matrices, norms behind branches,
    /// branches side by side and scaled, gates and none.
    @Test(arguments: [
        "llama3", "phi3", "gpt2", "gemma2", "gpt-neox", "stablelm-parallel", "granite", "olmo2", "opt",
    ])
    func besideIsAsMerged(_ name: String) throws {
        let model = try Self.model(name)
        let adapter = try Self.adapter(model, seed: 5)
        let running = try adapter.running(named: "own", for: model)
        let runner = try Self.runner(model)
        let plain = try Self.logits(runner, Self.tokens, nil)
        let beside = try Self.logits(runner, Self.tokens, running)
        #expect(zip(beside, plain).contains { abs($0 - $1) > 0.01 })
        // Another number of threads, another chunk: the same bits.
        #expect(try Self.logits(Self.runner(model, threads: 1, chunk: 5), Self.tokens, running) == beside)
        #expect(try Self.logits(runner, Self.tokens, nil) == plain)

        let merged = try Self.model(name)
        for parameter in merged.parameters {
            guard case .matrix(let matrix) = parameter.value else { continue }
            parameter.replace(with: try adapter.merged(parameter.name, into: matrix, on: runner.pool))
        }
        let expected = try Self.logits(Self.runner(merged), Self.tokens, nil)
        #expect(zip(beside, expected).allSatisfy { abs($0 - $1) < 2e-4 })
    }

    /// The base may be packed: it is read as it is.
    @Test(arguments: ["q8_0", "q4_1", "int8"]) func besideAPackedBase(_ format: String) throws {
        let shape = SyntheticShape(
            name: "tiny", layers: 2, width: 64, feedForwardWidth: 96, heads: 4, keyValueHeads: 2,
            vocabularySize: 97, tiesEmbeddings: false)
        let packed = try #require(WeightFormats.named(format))
        func make() throws -> LanguageModel {
            try LanguageModel.synthetic(shape, format: packed, sparsity: 0, headFormat: .f32, seed: 7)
        }
        let model = try make()
        let adapter = try Self.adapter(model, seed: 9, rank: 5)
        let runner = try Self.runner(model)
        let beside = try Self.logits(
            runner, Self.tokens, try adapter.running(named: "own", for: model))
        let merged = try make()
        for parameter in merged.parameters {
            guard case .matrix(let matrix) = parameter.value else { continue }
            parameter.replace(with: try adapter.merged(parameter.name, into: matrix, on: runner.pool))
        }
        let expected = try Self.logits(Self.runner(merged), Self.tokens, nil)
        let scale = expected.map(abs).max()!
        #expect(zip(beside, expected).allSatisfy { abs($0 - $1) < 2e-4 * scale })
    }

    /// Sequences of one step run with adapters of their own, or with none, and change nothing for each other.
    @Test(arguments: ["llama3", "gpt2", "mixtral"]) func sequencesWithAdaptersOfTheirOwn(_ name: String)
        throws
    {
        let model = try Self.model(name)
        let targets = name == "mixtral" ? ["q_proj", "o_proj"] : ["all-linear"]
        let runner = try Self.runner(model)
        let adapters: [RunningAdapter?] = [
            try Self.adapter(model, seed: 1, targets: targets).running(named: "a", for: model), nil,
            try Self.adapter(model, seed: 2, targets: targets, rank: 7).running(
                named: "b", for: model, strength: 0.5),
        ]
        let alone = try adapters.map { try Self.logits(runner, Array(Self.tokens.prefix(5)), $0) }
        #expect(alone[0] != alone[1] && alone[1] != alone[2] && alone[0] != alone[2])
        let sequences = adapters.map { runner.makeSequence(capacity: 64, adapter: $0) }
        runner.begin()
        for sequence in sequences {
            try Self.tokens.prefix(5).withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        }
        try runner.run()
        let together = Array(try runner.logits(rows: 0..<15))
        #expect(together == alone.flatMap { $0 })
        // Another adapter: what was computed is forgotten.
        sequences[0].adapter = adapters[2]
        #expect(sequences[0].length == 0)
        #expect(sequences[2].fork(length: 3, capacity: 64)?.adapter === adapters[2])
    }

    @Test func adaptersThatDoNotFit() throws {
        let model = try Self.model("llama3")
        let name = "model.layers.0.self_attn.k_proj.weight"
        func running(_ factors: [String: RunningAdapter.Factors]) throws {
            _ = try RunningAdapter(name: "a", factors, for: model)
        }
        let right = RunningAdapter.Factors(
            down: [Float](repeating: 0, count: 64), up: [Float](repeating: 0, count: 32), rank: 2)
        try running([name: right])
        #expect(throws: RunningAdapterError.noSuchLinear(adapter: "a", linear: "model.layers.7.x")) {
            try running(["model.layers.7.x": right])
        }
        #expect(
            throws: RunningAdapterError.misshapen(
                adapter: "a", linear: name, rank: 3, down: 64, up: 32, rows: 16, columns: 32)
        ) { try running([name: .init(down: right.down, up: right.up, rank: 3)]) }
        #expect(throws: RunningAdapterError.empty(adapter: "a")) { try running([:]) }
        let experts = try Self.model("mixtral")
        let all = try Self.adapter(experts, seed: 3)
        #expect(
            throws: RunningAdapterError.inExperts(
                adapter: "a", linear: "model.layers.0.block_sparse_moe.experts.0.w1.weight")
        ) { _ = try all.running(named: "a", for: experts) }
        // A folder whose r is not that of its tensors.
        let folder = try RunFolder()
        let path = folder.path("adapter")
        try Self.adapter(model, seed: 1).write(
            to: path, base: "x", configuration: model.configuration, overwrite: false)
        let file = "\(path)/adapter_config.json"
        let written = try Storage.mapping(file)
        let text = withExtendedLifetime(written) {
            String(
                decoding: UnsafeRawBufferPointer(start: written.base, count: written.byteCount), as: UTF8.self
            )
        }
        try OutputFile.write(text.replacing("\"r\": 3", with: "\"r\": 4"), to: "\(file).new")
        #expect(rename("\(file).new", file) == 0)
        #expect(throws: AdapterError.self) { _ = try LowRankAdapter(reading: path, for: model) }
    }
}
