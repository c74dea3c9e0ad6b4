import WinnowJSON

/// What a model is to become; what is nil does not matter.
public struct RecommendationTarget: Sendable, Equatable {
    /// On disk, all files.
    public var bytes: Int?
    /// Decoding, on this machine.
    public var tokensPerSecond: Double?
    /// Over the model as given: 0.05 is 5 %.
    public var perplexityIncrease: Double?

    public init(bytes: Int? = nil, tokensPerSecond: Double? = nil, perplexityIncrease: Double? = nil) {
        self.bytes = bytes
        self.tokensPerSecond = tokensPerSecond
        self.perplexityIncrease = perplexityIncrease
    }

    /// How far figures are from the target, as shares of it: 0 where it is met, else the largest miss.
    public func miss(_ figures: Recommendation.Figures, given: Recommendation.Figures) -> Double {
        var misses = [0.0]
        if let bytes { misses.append(Double(figures.bytes) / Double(bytes) - 1) }
        if let tokensPerSecond { misses.append(1 - figures.tokensPerSecond / tokensPerSecond) }
        if let perplexityIncrease {
            misses.append(figures.perplexity / (given.perplexity * (1 + perplexityIncrease)) - 1)
        }
        return misses.max()!
    }

    /// Whether one that meets the target is better than another: the smaller where quality is bound, else the
    /// one of lower perplexity.
    func prefers(_ figures: Recommendation.Figures, to other: Recommendation.Figures) -> Bool {
        perplexityIncrease == nil ? figures.perplexity < other.perplexity : figures.bytes < other.bytes
    }
}

/// What a ``Recommender`` found.
public struct Recommendation {
    public struct Figures: Sendable, Equatable {
        public var perplexity: Double
        public var standardError: Double
        /// On disk.
        public var bytes: Int
        /// Decoding from an empty context.
        public var tokensPerSecond: Double
        public var sparsity: Double
        public var bitsPerWeight: Double

        public init(
            perplexity: Double, standardError: Double, bytes: Int, tokensPerSecond: Double, sparsity: Double,
            bitsPerWeight: Double
        ) {
            self.perplexity = perplexity
            self.standardError = standardError
            self.bytes = bytes
            self.tokensPerSecond = tokensPerSecond
            self.sparsity = sparsity
            self.bitsPerWeight = bitsPerWeight
        }

        public var json: JSONObject {
            JSONObject([
                ("perplexity", .number(perplexity)), ("standardError", .number(standardError)),
                ("bytes", .integer(Int64(bytes))), ("decodeTokensPerSecond", .number(tokensPerSecond)),
                ("sparsity", .number(sparsity)), ("bitsPerWeight", .number(bitsPerWeight)),
            ])
        }
    }

    /// One recipe of the space.
    public struct Trial {
        public let name: String
        /// nil: the model as given.
        public let recipe: Recipe?
        public let predictedBytes: Int
        /// By the quick run; nil where the size alone ruled it out.
        public internal(set) var quick: Figures?
        /// By a run from the file, with all samples, written and opened again; nil where there was none.
        public internal(set) var verified: Figures?
    }

    /// In the order of the space, the model as given first.
    public internal(set) var trials: [Trial]
    /// As given, measured as quick and as verified runs are.
    public let given: (quick: Figures, full: Figures)
    /// The place of the recommended one in ``trials``; nil when none meets the target.
    public internal(set) var chosen: Int?
    /// The place of the one closest to the target, by the best figures there are of it.
    public internal(set) var nearest = 0
    /// How far that is from it: a share of the target, 0 when it is met.
    public internal(set) var distance = 0.0
}
