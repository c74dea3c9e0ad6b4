import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText

/// A profile of the tiny model over random texts.
private func profile(_ model: LanguageModel, texts: Int = 12) throws -> NeuronProfile {
    let windows = (0..<texts).map { randomTokens(16, seed: UInt64(100 + $0)) }
    return try NeuronProfile(
        counting: windows, with: NeuronPredicate(beta: NeuronProfile.signatureShare),
        on: try makeRunner(model), textSha256: String(repeating: "a", count: 64))
}

private func count(
    _ model: LanguageModel, _ tokens: [TokenID], _ policy: any NeuronPolicy
) throws -> NeuronCounter {
    let runner = try makeRunner(model)
    let counter = NeuronCounter(
        model, policy.predicate, layers: policy.layers, tokens: tokens.count, on: runner.pool)
    try runner.read(tokens[...], into: runner.makeSequence(capacity: 256), counting: counter)
    return counter
}

@Suite struct NeuronProfileTests {
    @Test func middleLayersAreThePapers() throws {
        #expect(NeuronScope.middle(of: 32) == 6...26)
        #expect(NeuronScope.middle(of: 30) == 5...25)
        #expect(NeuronScope.middle(of: 2) == 0...1)
        #expect(NeuronScope.middle(of: 1) == 0...0)
        #expect(NeuronProfile.deepLayer(of: 32) == 25 && NeuronProfile.deepLayer(of: 1) == 0)
        let model = try tinyModel(.f32)
        #expect(throws: NeuronError.noSuchLayers(1...2, layers: 2)) { try NeuronScope(model, layers: 1...2) }
        #expect(
            "\(NeuronError.noSuchLayers(1...2, layers: 2))" == "layers 1-2 of a model whose layers are 0-1")
    }

    /// The counts of windows that a runner reads are those of the tap, in any chunks; sums over texts are sums.
    @Test func rankingsAreSumsOverTexts() throws {
        let model = try tinyModel(.f32)
        let made = try profile(model)
        #expect(made.tokens == 12 * 16 && made.widths == [96, 96])
        #expect(made.clusters.reduce(0) { $0 + $1.texts } == 12)
        let policy = CoreNeurons(try NeuronScope(model, layers: 0...1), try NeuronPredicate())
        var sum = NeuronCounts(width: 96)
        for text in 0..<12 {
            let counter = try count(model, randomTokens(16, seed: UInt64(100 + text)), policy)
            sum.merge(try counter.counts()[1])
        }
        #expect(made.rankings[1] == sum.ranking)
    }

    @Test func fileRoundTrips() throws {
        let model = try tinyModel(.q4_1)
        let made = try profile(model)
        try TemporaryFolder.with { folder in
            try made.write(to: "\(folder)/p", overwrite: false)
            let read = try NeuronProfile(reading: "\(folder)/p")
            #expect(read == made)
            try read.check(model, file: "p")
            #expect(throws: CheckpointError.outputExists(path: "\(folder)/p")) {
                try made.write(to: "\(folder)/p", overwrite: false)
            }
        }
    }

    @Test func profilesOfOtherModelsAreRefused() throws {
        let made = try profile(try tinyModel(.f32))
        // Another format of the same model is the same model.
        try made.check(try tinyModel(.int8), file: "p")
        let fixture = try LanguageModel(FamilyFixture("llama3").checkpoint)
        #expect(throws: NeuronError.self) { try made.check(fixture, file: "p") }
        let renamed = NeuronProfile(
            predicate: made.predicate, widths: made.widths, rankings: made.rankings,
            clusterLayer: made.clusterLayer, clusters: made.clusters, tokens: made.tokens,
            textSha256: made.textSha256, modelSha256: "other")
        #expect(throws: NeuronError.otherModel(file: "p", reason: "the last norm differs")) {
            try renamed.check(try tinyModel(.f32), file: "p")
        }
    }

    /// Damaged files are refused with an error that names them, or are good.
    @Test func damagedProfilesAreRefused() throws {
        let made = try profile(try tinyModel(.f32), texts: 6)
        try TemporaryFolder.with { folder in
            let path = "\(folder)/p"
            try made.write(to: path, overwrite: false)
            let file = try Storage.mapping(path)
            let bytes = Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount))
            let run = MutationRun(
                "profile", bytes, seed: 3, count: 300, window: 2000,
                isExpected: { $0 is NeuronError || $0 is FileError }
            ) {
                try TemporaryFolder.write($0, to: path)
                _ = try NeuronProfile(reading: path)
            }
            #expect(run.strangers.isEmpty, "\(run.strangers)")
            #expect(run.opened < run.inputs)

            // A neuron that stands twice.
            var twice = bytes
            let length = Int(bytes[0]) + Int(bytes[1]) << 8 + 8
            for index in 0..<4 { twice[length + 4 + index] = twice[length + index] }
            try TemporaryFolder.write(twice, to: path)
            #expect(
                throws: NeuronError.damagedProfile(
                    file: path, reason: "rankings.0 is no order of 96 neurons")
            ) { try NeuronProfile(reading: path) }
            // A model's weights are no profile.
            let weights = "\(FamilyFixture.folder)/llama3/model.safetensors"
            #expect(
                throws: NeuronError.damagedProfile(
                    file: weights, reason: "no 'winnow_neurons' in its header")
            ) { try NeuronProfile(reading: weights) }
        }
    }

    /// A text of a cluster is sent there, and gets that cluster's neurons in every block of the scope.
    @Test func similarTextsGetTheirCluster() throws {
        let model = try tinyModel(.f32)
        let made = try profile(model)
        let scope = try NeuronScope(model, layers: 0...0)
        let policy = try ClusterNeurons(scope, beta: 0.25, made)
        #expect(policy.layers == 0...1 && policy.predicate.beta == 0.25)
        for text in 0..<4 {
            let counter = try count(model, randomTokens(16, seed: UInt64(100 + text)), policy)
            let signature = Set(made.signature(of: try counter.counts()[1]).indices)
            // The nearest by all coordinates.
            let distances = made.clusters.map { cluster in
                cluster.centre.enumerated().reduce(0.0) { sum, part in
                    let gap = Double(part.element) - (signature.contains(part.offset) ? 1 : 0)
                    return sum + gap * gap
                }
            }
            let nearest = distances.indices.min { distances[$0] < distances[$1] }!
            let plan = try policy.plan(after: counter)
            #expect(plan.origin == .similarity(cluster: nearest))
            #expect(plan.layers[1] == nil)
            #expect(plan.layers[0]?.indices == made.clusters[nearest].rankings[0].prefix(24).sorted())
        }
    }

    @Test func evenPromptsGoByThemselves() throws {
        let model = try tinyModel(.f32)
        let made = try profile(model)
        let scope = try NeuronScope(model, layers: 0...1)
        let policy = try AutomaticNeurons(scope, beta: 0.5, made)
        // The same token over and over uses the same neurons; two halves of different tokens do not.
        let even = try policy.plan(after: count(model, Array(repeating: 5, count: 40), policy))
        #expect(even.origin == .stability && (even.overlap ?? 0) >= AutomaticNeurons.threshold)
        let uneven = try policy.plan(
            after: count(model, Array(repeating: 5, count: 20) + Array(repeating: 11, count: 20), policy))
        #expect((uneven.overlap ?? 1) < AutomaticNeurons.threshold)
        guard case .similarity = uneven.origin else {
            Issue.record("\(uneven.origin)")
            return
        }
        // One token says nothing.
        let alone = CoreNeurons(scope, try NeuronPredicate())
        #expect(try alone.plan(after: count(model, [5], alone)).origin == .dense)
        guard case .similarity = try policy.plan(after: count(model, [5], policy)).origin else {
            Issue.record("one token")
            return
        }
    }

    @Test func fixedChoicesDoNotReadThePrompt() throws {
        let model = try tinyModel(.f32)
        let scope = try NeuronScope(model, layers: 0...1)
        let predicate = try NeuronPredicate(beta: 0.25)
        let pool = try KernelPool(threads: 1)
        let norms = FixedNeurons.weightNorm(model, scope, predicate, on: pool)
        #expect(!norms.readsPrompt)
        let empty = NeuronCounter(model, predicate, layers: 0...1, tokens: 0, on: pool)
        // The norms of each neuron, in float64.
        let network = try #require(model.blocks[0].feedForward)
        let parts = [network.gate!.weight, network.up.weight].map { $0.matrix.floats(on: pool) }
        let down = network.down.weight.matrix.floats(on: pool)
        let products = (0..<96).map { neuron -> Double in
            var product = 1.0
            for part in parts {
                product *= part[neuron * 64..<(neuron + 1) * 64].reduce(0) { $0 + Double($1) * Double($1) }
            }
            return product
                * (0..<64).reduce(0) { $0 + Double(down[$1 * 96 + neuron]) * Double(down[$1 * 96 + neuron]) }
        }
        let best = products.indices.sorted { products[$0] > products[$1] }.prefix(24).sorted()
        #expect(norms.plan(after: empty).layers[0]?.indices == best)
        let first = FixedNeurons.random(scope, predicate, seed: 1).plan(after: empty)
        #expect(first == FixedNeurons.random(scope, predicate, seed: 1).plan(after: empty))
        #expect(first != FixedNeurons.random(scope, predicate, seed: 2).plan(after: empty))
        #expect(first.share == 0.25)
        let made = try profile(model)
        #expect(
            FixedNeurons.profile(made, scope, predicate).plan(after: empty).layers[1]?.indices
                == made.rankings[1].prefix(24).sorted())
    }
}
