import Testing
import WinnowCore
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowTrain
import WinnowWeights

@Suite struct TrainerTests {
    /// Batches of 2 x 24 tokens out of a text of 400 that repeats itself.
    static func data(seed: UInt64 = 1) throws -> StreamedBatches {
        let ids = (0..<400).map { (place: Int) -> Int32 in Int32(3 + (place * place + 7 * place) % 41) }
        let dataset = try TokenDataset([TokenStore(source: "numbers", documents: [ids])])
        return StreamedBatches(
            BatchStream(dataset, plan: try WindowPlan(dataset, length: 24), batch: 2, seed: seed),
            fingerprint: "numbers")
    }

    static func configuration(steps: Int = 12) -> TrainingConfiguration {
        var configuration = TrainingConfiguration()
        configuration.steps = steps
        configuration.batch = 2
        configuration.length = 24
        configuration.learningRate = .warmup(steps: 3, then: .constant(3e-3))
        configuration.checkpointEvery = 4
        configuration.evaluateEvery = 0
        return configuration
    }

    static func trainer(
        _ configuration: TrainingConfiguration, threads: Int = 2, name: String = "llama3",
        prepare: (LanguageModel) throws -> Void = { _ in }
    ) throws -> Trainer {
        let pool = try KernelPool(threads: threads)
        let model = try TwinFixture.model(name, on: pool)
        try prepare(model)
        return try Trainer(model, configuration, data: data(), on: pool)
    }

    static func bits(_ trainer: Trainer) -> [[UInt32]] {
        trainer.parameters.map { $0.values.map(\.bitPattern) }
    }

    /// A step that would not fit ends as an error before anything changed, and the estimate is no less than the peak.
    @Test(arguments: TwinFixture.decoders) func activationsThatDoNotFit(_ name: String) throws {
        let pool = try KernelPool(threads: 2)
        let model = try TwinFixture.model(name, on: pool)
        var configuration = Self.configuration()
        for recompute in [false, true] {
            configuration.recompute = recompute
            let trainer = try Trainer(model, configuration, data: Self.data(), on: pool)
            _ = try trainer.takeStep()
            let planned = try #require(trainer.memoryPlan.items.first { $0.name == "activations" }).bytes
            #expect(trainer.twin.context.memory.peakBytes <= planned, "recompute \(recompute)")
            let narrow = try Trainer(
                model, configuration, data: Self.data(), on: pool, memory: TapeMemory(limit: planned - 1))
            let before = Self.bits(narrow)
            #expect(throws: TapeMemoryError.noRoom(bytes: planned, limit: planned - 1)) {
                _ = try narrow.takeStep()
            }
            #expect(Self.bits(narrow) == before)
        }
        #expect(throws: TapeMemoryError.noRoom(bytes: 1 << 60, limit: nil)) {
            try TapeMemory().makeRoom(for: 1 << 60)
        }
    }

    /// What is gathered of masked linears is in the estimate.
    @Test(arguments: ["llama3", "gpt2", "qwen3"], [false, true])
    func gatheredColumnsAreEstimated(_ name: String, recompute: Bool) throws {
        var configuration = Self.configuration()
        configuration.recompute = recompute
        let trainer = try Self.trainer(configuration, name: name)
        for training in trainer.model.blocks.flatMap(\.linears).compactMap(\.parameter.training) {
            training.setMask(
                SparsityMask(rows: training.rows, columns: training.columns) { _, column in column % 4 == 0 })
        }
        _ = try trainer.takeStep()
        #expect(trainer.parameters.contains { $0.keptColumns != nil })
        let planned = try #require(trainer.memoryPlan.items.first { $0.name == "activations" }).bytes
        #expect(trainer.twin.context.memory.peakBytes <= planned)
    }

    @Test func settingsThatNoRunCanHave() throws {
        var configuration = Self.configuration()
        configuration.batch = 1 << 60
        #expect(
            throws: TrainingError.badValue(
                key: "batch", value: "\(1 << 60)", expected: "at most 89478485 sequences of 24 tokens")
        ) { try configuration.validate() }
        configuration = Self.configuration()
        configuration.learningRate = .constant(.nan)
        #expect(throws: TrainingError.self) { try configuration.validate() }
        let pool = try KernelPool(threads: 1)
        let frozen = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        #expect(throws: TrainingError.nothingToTrain(architecture: "llama")) {
            _ = try Trainer(frozen, Self.configuration(), data: Self.data(), on: pool)
        }
    }

    @Test func precisionOfARecipe() throws {
        let text = #"{"steps": 5, "batch": 2, "compute": "bfloat16"}"#
        let configuration = try TrainingConfiguration(json: Array(text.utf8), file: "recipe")
        #expect(configuration.compute == .bfloat16)
        #expect(configuration.json["compute"]?.string == "bfloat16")
        #expect(configuration.identity["compute"]?.string == "bfloat16")
        // What checkpoints from before the key say.
        #expect(Self.configuration().identity["compute"] == nil)
        #expect(
            throws: TrainingError.badValue(
                key: "compute", value: "float16", expected: "float32 or bfloat16")
        ) { _ = try TrainingConfiguration(json: Array(#"{"compute": "float16"}"#.utf8), file: "recipe") }
        #expect(try Self.trainer(configuration).twin.context.precision == .bfloat16)
    }

    static let identity = JSONObject([("model", "tiny")])

    @Test(arguments: ["adamw", "lion", "sgd", "adafactor", "sm3"]) func aStoppedRunGoesOnBitForBit(
        _ kind: String
    ) throws {
        let folder = try RunFolder()
        var configuration = Self.configuration()
        configuration.optimizer.kind = .init(rawValue: kind)!
        configuration.optimizer.beta1 = nil
        configuration.optimizer.beta2 = nil
        configuration.accumulate = 2
        configuration.compute = kind == "lion" ? .bfloat16 : .float32
        var pruning = GradualPruningConfiguration()
        pruning.to = 0.7
        pruning.begin = 2
        pruning.end = 9
        pruning.every = 3
        configuration.pruning = pruning

        var whole = try TrainingRun(
            Self.trainer(configuration), in: folder.path("whole"), identity: Self.identity)
        #expect(try whole.run() == .steps)

        // Stopped after step 7: three steps past its last checkpoint are done again.
        let stopped = try Self.trainer(configuration, threads: 1)
        var run = try TrainingRun(stopped, in: folder.path("stopped"), identity: Self.identity)
        let flag = CancellationFlag()
        #expect(try run.run(cancellation: flag) { if $0.step == 6 { flag.cancel() } } == .stopped)
        AtomicOutput.remove(folder.path("stopped/checkpoints/step-000006"))
        let resumed = try Self.trainer(configuration, threads: 3)
        var rest = try TrainingRun(resumed, in: folder.path("stopped"), identity: Self.identity)
        #expect(rest.resumedFrom?.step == 4)
        #expect(rest.records.map(\.step) == [1, 2, 3, 4])
        #expect(try rest.run() == .steps)
        #expect(Self.bits(rest.trainer) == Self.bits(whole.trainer))
        #expect(rest.records.map(\.loss) == whole.records.map(\.loss))
        #expect(rest.trainer.sparsity.zeros == whole.trainer.sparsity.zeros)
        #expect(TrainingCheckpoint.all(in: folder.path("stopped/checkpoints")).map(\.step) == [8, 12])
    }

    @Test func statisticsSayWhatAStepDidAndChangeNothing() throws {
        var configuration = Self.configuration(steps: 6)
        configuration.optimizer.clipNorm = 0.1
        var pruning = GradualPruningConfiguration()
        pruning.to = 0.5
        pruning.end = 4
        pruning.every = 1
        configuration.pruning = pruning
        let plain = try Self.trainer(configuration)
        let observed = try Self.trainer(configuration)
        observed.statisticsEvery = 3
        for step in 1...6 {
            let before = observed.parameters.map { Array($0.values) }
            _ = try plain.takeStep()
            let record = try observed.takeStep()
            guard step % 3 == 0 else {
                #expect(record.statistics == nil)
                continue
            }
            let statistics = try #require(record.statistics)
            #expect(statistics.parameters.map(\.name) == observed.parameters.map(\.name))
            let total = statistics.parameters.reduce(0) { $0 + $1.gradientNorm * $1.gradientNorm }
                .squareRoot()
            #expect(abs(total - record.gradientNorm) < 1e-4 * total)
            for (own, (old, parameter)) in zip(statistics.parameters, zip(before, observed.parameters)) {
                // Gradual pruning acts before the optimizer: what it took is no part of the step.
                let kept = old.indices.map {
                    parameter.values[$0] == 0 && parameter.mask != nil ? 0 : Double(old[$0])
                }
                let norm = kept.reduce(0) { $0 + $1 * $1 }.squareRoot()
                let change = kept.indices.reduce(0.0) { sum, index in
                    let moved = Double(parameter.values[index]) - kept[index]
                    return sum + moved * moved
                }.squareRoot()
                #expect(abs(own.weightNorm - norm) < 1e-5 * max(norm, 1))
                #expect(abs(own.updateRatio - (norm > 0 ? change / norm : 0)) < 1e-6)
                let zeros = parameter.values.filter { $0 == 0 }.count
                #expect(own.zeros == Double(zeros) / Double(parameter.count))
            }
            #expect(statistics.blocks.count == observed.model.blocks.count)
            #expect(statistics.blocks.allSatisfy { $0.rootMeanSquare > 0 && $0.largest >= $0.rootMeanSquare })
            #expect(StepRecord(.object(record.json))?.statistics == statistics)
        }
        #expect(Self.bits(plain) == Self.bits(observed))
    }

    @Test func aBatchIsLearnedByHeart() throws {
        var configuration = Self.configuration(steps: 150)
        configuration.learningRate = .constant(1e-2)
        configuration.optimizer.weightDecay = 0
        let trainer = try Self.trainer(configuration)
        let batch = try TwinFixture("llama3").batch
        trainer.data = OneBatch(batch: batch)
        var losses: [Double] = []
        for _ in 0..<150 { losses.append(try trainer.takeStep().loss) }
        #expect(losses[0] > 4)
        #expect(losses[149] < 0.02)
    }

    /// The cubic's counts at each event, masks that only shrink, and zeros that stay through clipping, decay,
    /// momentum and accumulation.
    @Test func gradualPruningKeepsItsZeros() throws {
        var configuration = Self.configuration(steps: 14)
        configuration.accumulate = 2
        configuration.optimizer.clipNorm = 0.1
        configuration.optimizer.weightDecay = 0.5
        var pruning = GradualPruningConfiguration()
        pruning.to = 0.9
        pruning.begin = 1
        pruning.end = 11
        pruning.every = 2
        configuration.pruning = pruning
        let trainer = try Self.trainer(configuration)
        let linears = trainer.parameters.filter { $0.name.contains("proj.weight") }
        #expect(linears.count == 14)
        var masks: [SparsityMask?] = linears.map { _ in nil }
        for step in 0..<14 {
            _ = try trainer.takeStep()
            let share = Double(min(max(step - 1, 0), 10)) / 10
            let event = step >= 11 ? 1 : Double((min(max(step - 1, 0), 10) / 2) * 2) / 10
            #expect(event <= share + 1e-9 || step >= 11)
            let sparsity = 0.9 * (1 - (1 - event) * (1 - event) * (1 - event))
            for (index, parameter) in linears.enumerated() {
                let kept = max(1, Int((Double(parameter.count) * (1 - sparsity)).rounded()))
                #expect(
                    parameter.count - (parameter.mask?.keptCount ?? parameter.count) == parameter.count - kept
                )
                #expect(parameter.zeros >= parameter.count - kept)
                #expect(parameter.strayedWeights == 0)
                if let old = masks[index], let new = parameter.mask { #expect(new.isSubset(of: old)) }
                masks[index] = parameter.mask
            }
        }
        // Nothing else is pruned.
        #expect(trainer.parameters.filter { $0.mask != nil }.count == 14)
    }

    @Test func equalWeightsArePrunedToTheCount() throws {
        let pool = try KernelPool(threads: 2)
        let model = try TwinFixture.model("llama3", on: pool)
        let parameter = model.blocks[0].attention.query.weight.training!
        parameter.values.update(repeating: 0.25)
        let pruning = GradualPruning(to: 0.6, begin: 0, end: 1, every: 1)
        #expect(try pruning.update(parameter, step: 2, of: 3, on: pool) == nil)
        let change = try #require(try pruning.update(parameter, step: 1, of: 3, on: pool))
        #expect(change.new.keptCount == max(1, Int((Double(parameter.count) * 0.4).rounded())))
        #expect(change.dropped == change.new.prunedCount && change.grown == 0)
    }

    @Test func aMaskInTheFileIsKept() throws {
        let pool = try KernelPool(threads: 2)
        let trainer = try Self.trainer(Self.configuration()) { model in
            let query = model.blocks[0].attention.query.weight
            let mask = SparsityMask(rows: query.matrix.rows, columns: query.matrix.columns) {
                ($0 + $1) % 3 == 0
            }
            query.replace(with: try query.matrix.masked(by: mask, on: pool, name: "q"))
            query.beginTraining(on: pool)
        }
        let query = trainer.model.blocks[0].attention.query.weight
        let zeros = query.training!.zeros
        #expect(zeros >= query.matrix.mask!.prunedCount)
        for _ in 0..<5 { _ = try trainer.takeStep() }
        #expect(query.training!.strayedWeights == 0)
        try query.takeMasters()
        #expect(query.matrix.zeros(on: pool) == query.training!.zeros)
    }

    @Test func aLossThatIsNoNumberStopsTheRun() throws {
        let folder = try RunFolder()
        let trainer = try Self.trainer(Self.configuration())
        var run = try TrainingRun(trainer, in: folder.path("run"), identity: Self.identity)
        let name = "model.layers.1.mlp.down_proj.weight"
        let checkpoint = folder.path("run/checkpoints/step-000004")
        #expect(
            throws: TrainingError.notFinite(step: 6, what: "loss", place: name, checkpoint: checkpoint)
        ) {
            _ = try run.run { record in
                guard record.step == 5 else { return }
                trainer.parameters.first { $0.name == name }!.values[7] = .nan
            }
        }
        #expect(TrainingCheckpoint.all(in: folder.path("run/checkpoints")).map(\.step) == [4])
    }

    @Test func checkpointsOfOthersAreRefused() throws {
        let folder = try RunFolder()
        var run = try TrainingRun(
            Self.trainer(Self.configuration(steps: 4)), in: folder.path("run"), identity: Self.identity)
        _ = try run.run()
        let other = JSONObject([("model", "large")])
        let path = folder.path("run/checkpoints/step-000004")
        #expect(
            throws: TrainingError.otherRun(folder: path, what: "its model is \"tiny\", not \"large\"")
        ) {
            _ = try TrainingRun(
                Self.trainer(Self.configuration(steps: 4)), in: folder.path("run"), identity: other)
        }
        // The order of keys is nothing; a number deep inside is named.
        func nested(_ rate: Double, turned: Bool = false) -> JSONObject {
            let keys: [(String, JSONValue)] = [("kind", "adamw"), ("rate", .number(rate))]
            return JSONObject([("settings", .object(JSONObject(turned ? keys.reversed() : keys)))])
        }
        var first = try TrainingRun(
            Self.trainer(Self.configuration(steps: 4)), in: folder.path("nested"), identity: nested(0.5))
        _ = try first.run()
        let turned = try TrainingRun(
            Self.trainer(Self.configuration(steps: 4)), in: folder.path("nested"),
            identity: nested(0.5, turned: true))
        #expect(turned.resumedFrom?.step == 4)
        #expect(
            throws: TrainingError.otherRun(
                folder: folder.path("nested/checkpoints/step-000004"),
                what: "its settings.rate is 0.5, not 0.25")
        ) {
            _ = try TrainingRun(
                Self.trainer(Self.configuration(steps: 4)), in: folder.path("nested"), identity: nested(0.25))
        }
        // Another model under the same identity: its tensors are missed by name.
        #expect(throws: TrainingError.self) {
            _ = try TrainingRun(
                Self.trainer(Self.configuration(steps: 4), name: "gpt2"), in: folder.path("run"),
                identity: Self.identity)
        }
        let again = try TrainingRun(
            Self.trainer(Self.configuration(steps: 4)), in: folder.path("run"), identity: other,
            overwrite: true)
        #expect(again.resumedFrom == nil && again.records.isEmpty)
    }

    @Test func patienceEndsARun() throws {
        let folder = try RunFolder()
        var configuration = Self.configuration(steps: 40)
        configuration.learningRate = .constant(0.5)
        configuration.evaluateEvery = 2
        configuration.patience = 2
        var run = try TrainingRun(
            Self.trainer(configuration), in: folder.path("run"), identity: Self.identity)
        run.validation = try Self.data().inOrder(most: 2)
        #expect(try run.run() == .patience)
        let measured = run.records.compactMap(\.evaluationLoss)
        #expect(measured.count >= 3 && run.best!.loss == measured.min())
        #expect(TrainingCheckpoint.all(in: folder.path("run/checkpoints")).last?.step == run.trainer.step)
    }

    @Test func recipesSayWhatIsWrong() throws {
        func read(_ text: String) throws -> TrainingConfiguration {
            try TrainingConfiguration(json: Array(text.utf8), file: "recipe.json")
        }
        let recipe = try read(
            #"{"steps": 20, "optimizer": {"kind": "lion"}, "pruning": {"to": 0.8, "end": 15}, "learning_rate": 1e-3}"#
        )
        #expect(recipe.steps == 20 && recipe.optimizer.kind == .lion && recipe.pruning?.to == 0.8)
        #expect(recipe.batch == TrainingConfiguration().batch)
        #expect(try read(JSONValue.object(recipe.json).text()) == recipe)
        #expect(
            throws: TrainingError.unknownKey(
                place: "pruning", key: "until",
                known: ["from", "to", "begin", "end", "every"])
        ) { _ = try read(#"{"pruning": {"until": 0.5}}"#) }
        #expect(throws: TrainingError.badValue(key: "steps", value: "0", expected: "1 or more")) {
            _ = try read(#"{"steps": 0}"#)
        }
        #expect(throws: TrainingError.badRecipe(file: "recipe.json", reason: "expected Int at steps")) {
            _ = try read(#"{"steps": "many"}"#)
        }
    }
}

/// The same batch again and again.
private struct OneBatch: BatchSource {
    let batch: DecoderBatch
    var fingerprint: String { "one" }
    var tokensPerBatch: Int { batch.tokens }
    mutating func next() -> DecoderBatch { batch }
    var position: JSONValue { .null }
    mutating func seek(_ position: JSONValue) -> Bool { true }
}
