import WinnowCore

/// What a run of training does: a recipe's keys, in snake case, under their defaults.
public struct TrainingConfiguration: Sendable, Equatable {
    public var steps = 1000
    /// Sequences of a batch, and tokens of each.
    public var batch = 8
    public var length = 256
    /// Batches whose gradients are added up for one step.
    public var accumulate = 1
    public var learningRate = ScalarSchedule.warmup(
        steps: 50, then: .curve(.cosine, from: 1e-3, to: 1e-4, begin: 0, end: nil))
    public var optimizer: OptimizerConfiguration = {
        var optimizer = OptimizerConfiguration(.adamw)
        optimizer.beta2 = 0.95
        optimizer.weightDecay = 0.1
        optimizer.clipNorm = 1
        return optimizer
    }()
    public var seed: UInt64 = 0
    /// Steps between evaluations; 0: only at the end.
    public var evaluateEvery = 100
    /// Steps between checkpoints; 0: only at the end.
    public var checkpointEvery = 200
    /// Checkpoints that stay; older ones are removed.
    public var keepCheckpoints = 2
    /// Evaluations without a better loss after which the run ends; nil: never.
    public var patience: Int?
    /// Keeps only the inputs of blocks, and computes each again on the way back: less memory, a third more
    /// time.
    public var recompute = false
    /// Of matrix products: masters, gradients and the optimizer's state are float32 in either.
    public var compute = ProductPrecision.float32
    /// Prunes while training.
    public var pruning: GradualPruningConfiguration?

    public init() {}

    /// - Throws: ``TrainingError/badValue(key:value:expected:)``.
    public func validate() throws(TrainingError) {
        func least(_ key: String, _ value: Int, _ bound: Int) throws(TrainingError) {
            guard value >= bound else {
                throw .badValue(key: key, value: "\(value)", expected: "\(bound) or more")
            }
        }
        try least("steps", steps, 1)
        try least("batch", batch, 1)
        try least("length", length, 2)
        try least("accumulate", accumulate, 1)
        // Places of tokens are 32-bit.
        let (tokens, isTooMany) = batch.multipliedReportingOverflow(by: length)
        guard !isTooMany, tokens <= Int(Int32.max) else {
            throw .badValue(
                key: "batch", value: "\(batch)",
                expected: "at most \(Int(Int32.max) / length) sequences of \(length) tokens")
        }
        try least("evaluate_every", evaluateEvery, 0)
        try least("checkpoint_every", checkpointEvery, 0)
        try least("keep_checkpoints", keepCheckpoints, 1)
        if let patience { try least("patience", patience, 1) }
        try pruning?.validate(steps: steps)
        guard encoded != nil else {
            throw .badValue(key: "settings", value: "\(self)", expected: "finite numbers")
        }
    }
}

/// Gradual magnitude pruning in a recipe.
public struct GradualPruningConfiguration: Sendable, Equatable {
    /// Sparsity at `begin` and at `end`.
    public var from = 0.0
    public var to = 0.5
    public var begin = 0
    /// nil: three quarters of the run.
    public var end: Int?
    public var every = 10

    public init() {}

    public func updater(steps: Int) -> GradualPruning {
        GradualPruning(from: from, to: to, begin: begin, end: end ?? steps * 3 / 4, every: every)
    }

    func validate(steps: Int) throws(TrainingError) {
        for (key, value) in [("from", from), ("to", to)] where !(0..<1).contains(value) {
            throw .badValue(key: "pruning.\(key)", value: "\(value)", expected: "0 to less than 1")
        }
        guard to >= from else {
            throw .badValue(key: "pruning.to", value: "\(to)", expected: "pruning.from, \(from), or more")
        }
        guard every > 0 else {
            throw .badValue(key: "pruning.every", value: "\(every)", expected: "1 or more")
        }
        let end = end ?? steps * 3 / 4
        guard begin >= 0, end > begin, end < steps else {
            throw .badValue(
                key: "pruning.end", value: "\(end)",
                expected: "a step after \(begin) and before the last, \(steps - 1)")
        }
    }
}

extension TrainingConfiguration: Codable {
    private static let keys = [
        "steps", "batch", "length", "accumulate", "learning_rate", "optimizer", "seed", "evaluate_every",
        "checkpoint_every", "keep_checkpoints", "patience", "recompute", "compute", "pruning",
    ]

    public init(from decoder: any Decoder) throws {
        self.init()
        let keys = try decoder.container(keyedBy: RecipeKey.self)
        try keys.refuseOthers(than: Self.keys, in: "training")
        func read<Value: Decodable>(_ key: RecipeKey, into value: inout Value) throws {
            if let given = try keys.decodeIfPresent(Value.self, forKey: key) { value = given }
        }
        try read("steps", into: &steps)
        try read("batch", into: &batch)
        try read("length", into: &length)
        try read("accumulate", into: &accumulate)
        try read("learning_rate", into: &learningRate)
        try read("optimizer", into: &optimizer)
        try read("seed", into: &seed)
        try read("evaluate_every", into: &evaluateEvery)
        try read("checkpoint_every", into: &checkpointEvery)
        try read("keep_checkpoints", into: &keepCheckpoints)
        patience = try keys.decodeIfPresent(Int.self, forKey: "patience")
        try read("recompute", into: &recompute)
        if let name = try keys.decodeIfPresent(String.self, forKey: "compute") {
            guard let known = ProductPrecision(rawValue: name) else {
                throw TrainingError.badValue(
                    key: "compute", value: name,
                    expected: ProductPrecision.allCases.map(\.rawValue).joined(separator: " or "))
            }
            compute = known
        }
        pruning = try keys.decodeIfPresent(GradualPruningConfiguration.self, forKey: "pruning")
    }

    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: RecipeKey.self)
        try keys.encode(steps, forKey: "steps")
        try keys.encode(batch, forKey: "batch")
        try keys.encode(length, forKey: "length")
        try keys.encode(accumulate, forKey: "accumulate")
        try keys.encode(learningRate, forKey: "learning_rate")
        try keys.encode(optimizer, forKey: "optimizer")
        try keys.encode(seed, forKey: "seed")
        try keys.encode(evaluateEvery, forKey: "evaluate_every")
        try keys.encode(checkpointEvery, forKey: "checkpoint_every")
        try keys.encode(keepCheckpoints, forKey: "keep_checkpoints")
        try keys.encodeIfPresent(patience, forKey: "patience")
        try keys.encode(recompute, forKey: "recompute")
        try keys.encode(compute, forKey: "compute")
        try keys.encodeIfPresent(pruning, forKey: "pruning")
    }
}

extension GradualPruningConfiguration: Codable {
    public init(from decoder: any Decoder) throws {
        self.init()
        let keys = try decoder.container(keyedBy: RecipeKey.self)
        try keys.refuseOthers(than: ["from", "to", "begin", "end", "every"], in: "pruning")
        from = try keys.decodeIfPresent(Double.self, forKey: "from") ?? from
        to = try keys.decodeIfPresent(Double.self, forKey: "to") ?? to
        begin = try keys.decodeIfPresent(Int.self, forKey: "begin") ?? begin
        end = try keys.decodeIfPresent(Int.self, forKey: "end")
        every = try keys.decodeIfPresent(Int.self, forKey: "every") ?? every
    }

    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: RecipeKey.self)
        try keys.encode(from, forKey: "from")
        try keys.encode(to, forKey: "to")
        try keys.encode(begin, forKey: "begin")
        try keys.encodeIfPresent(end, forKey: "end")
        try keys.encode(every, forKey: "every")
    }
}

extension KeyedDecodingContainer where Key == RecipeKey {
    fileprivate func refuseOthers(than known: [String], in place: String) throws(TrainingError) {
        for key in allKeys where !known.contains(key.stringValue) {
            throw .unknownKey(place: place, key: key.stringValue, known: known)
        }
    }
}
