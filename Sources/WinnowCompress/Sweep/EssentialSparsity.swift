/// How far a model can be pruned before its quality falls: what a curve of sparsities says.
public struct EssentialSparsity: Sendable, Equatable {
    /// Where log perplexity over sparsity bends; nil when it does not, or for fewer than five levels.
    public var knee: KneeFinder.Knee?
    /// The largest sparsity up to which perplexity rose by no more than `tolerance`; nil when the first level rose more.
    public var withinTolerance: Double?
    public var tolerance: Double

    /// - Parameter levels: sparsity and perplexity, by rising sparsity.
    /// - Parameter dense: the perplexity of the model as given.
    public init(_ levels: [(sparsity: Double, perplexity: Double)], dense: Double, tolerance: Double = 0.05) {
        self.tolerance = tolerance
        knee = KneeFinder().knee(
            of: levels.filter { $0.perplexity > 0 && $0.perplexity.isFinite }
                .map { (x: $0.sparsity, y: logarithm($0.perplexity)) })
        withinTolerance = levels.prefix { $0.perplexity <= dense * (1 + tolerance) }.last?.sparsity
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private func logarithm(_ value: Double) -> Double { log(value) }
