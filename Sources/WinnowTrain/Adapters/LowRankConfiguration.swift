/// Low-rank adapters in a recipe and in `adapter_config.json`.
public struct LowRankConfiguration: Sendable, Equatable {
    public var rank = 8
    public var alpha = 16.0
    /// Last parts of the names of linears, such as `q_proj`; `all-linear` is every linear of the blocks.
    public var targets = ["q_proj", "v_proj"]
    /// Scales by alpha / sqrt(rank) in place of alpha / rank.
    ///
    /// - Source: rank-stabilised LoRA, arXiv 2312.03732.
    public var isRankStabilised = false

    public init() {}

    /// What B A x is multiplied by.
    public var scale: Double { isRankStabilised ? alpha / Double(rank).squareRoot() : alpha / Double(rank) }

    /// Whether a linear, by its Hugging Face key, gets an adapter.
    func covers(_ name: String) -> Bool {
        let module = name.hasSuffix(".weight") ? name.dropLast(7) : name[...]
        return targets.contains { $0 == "all-linear" || module == $0 || module.hasSuffix("." + $0) }
    }

    /// - Throws: ``TrainingError/badValue(key:value:expected:)``.
    public func validate() throws(TrainingError) {
        guard rank >= 1 else { throw .badValue(key: "rank", value: "\(rank)", expected: "1 or more") }
        guard alpha > 0, alpha.isFinite else {
            throw .badValue(key: "alpha", value: "\(alpha)", expected: "more than 0")
        }
        guard !targets.isEmpty else {
            throw .badValue(key: "targets", value: "empty", expected: "names of linears, or all-linear")
        }
    }
}
