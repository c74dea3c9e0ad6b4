import WinnowJSON

/// What happened in a step, or was measured after it: a line of `log.jsonl`.
public struct StepRecord: Sendable, Equatable {
    /// Steps that were done before and with this one.
    public var step: Int
    /// Tokens seen so far.
    public var tokens: Int
    /// Mean negative log-likelihood of the step's targets, in nats, before the step.
    public var loss: Double
    public var rate: Double
    /// Length of all gradients together, before clipping.
    public var gradientNorm: Double
    public var seconds: Double
    /// Share of zeros in the prunable matrices, where masks change.
    public var sparsity: Double?
    /// Of the validation windows, where they were scored after this step.
    public var evaluationLoss: Double?
    /// Where they were asked for.
    public var statistics: StepStatistics?

    public init(
        step: Int, tokens: Int, loss: Double, rate: Double, gradientNorm: Double, seconds: Double,
        sparsity: Double? = nil, evaluationLoss: Double? = nil, statistics: StepStatistics? = nil
    ) {
        self.step = step
        self.tokens = tokens
        self.loss = loss
        self.rate = rate
        self.gradientNorm = gradientNorm
        self.seconds = seconds
        self.sparsity = sparsity
        self.evaluationLoss = evaluationLoss
        self.statistics = statistics
    }

    public var json: JSONObject {
        var json = JSONObject([
            ("step", .integer(Int64(step))), ("tokens", .integer(Int64(tokens))), ("loss", .number(loss)),
            ("rate", .number(rate)), ("gradientNorm", .number(gradientNorm)), ("seconds", .number(seconds)),
        ])
        if let sparsity { json["sparsity"] = .number(sparsity) }
        if let evaluationLoss { json["evalLoss"] = .number(evaluationLoss) }
        if let statistics { json["statistics"] = .object(statistics.json) }
        return json
    }

    public init?(_ json: JSONValue) {
        guard let step = json["step"]?.integer, let tokens = json["tokens"]?.integer,
            let loss = json["loss"]?.number, let rate = json["rate"]?.number,
            let norm = json["gradientNorm"]?.number, let seconds = json["seconds"]?.number
        else { return nil }
        self.init(
            step: step, tokens: tokens, loss: loss, rate: rate, gradientNorm: norm, seconds: seconds,
            sparsity: json["sparsity"]?.number, evaluationLoss: json["evalLoss"]?.number,
            statistics: json["statistics"].flatMap { StepStatistics($0) })
    }
}
