import WinnowModels

extension LowRankAdapter {
    /// This adapter as a runner takes it, beside a base that stays as it is stored.
    ///
    /// Where the base's format has a mask, the sum is not masked, as the one of ``merged(_:into:keepsZeros:on:)`` is.
    ///
    /// - Parameter strength: multiplies the adapter's own scale.
    /// - Throws: `RunningAdapterError` for a linear of an expert, or of another model.
    public func running(
        named name: String, for model: LanguageModel, strength: Double = 1
    ) throws(RunningAdapterError) -> RunningAdapter {
        let scale = Float(configuration.scale * strength)
        var factors: [String: RunningAdapter.Factors] = [:]
        for pair in pairs {
            factors[pair.name] = RunningAdapter.Factors(
                down: Array(pair.down.values), up: pair.up.values.map { $0 * scale }, rank: pair.down.rows)
        }
        return try RunningAdapter(name: name, factors, for: model)
    }
}
