import WinnowCore
import WinnowModels
import WinnowText

/// One model pruned in many ways, each from the weights as they were.
public struct SparsitySweep {
    public let pruner: (any LayerMethod) -> SequentialPruner

    /// - Parameter pruner: how a method walks the model.
    public init(_ pruner: @escaping (any LayerMethod) -> SequentialPruner) { self.pruner = pruner }

    /// Prunes `model`, shows it to `measure`, and puts its weights back.
    ///
    /// - Throws: what pruning or measuring throws; the model is as it was in any case.
    public func run<Result>(
        _ method: any LayerMethod, on model: LanguageModel, windows: [[TokenID]],
        cancellation: CancellationFlag? = nil, progress: (Int, Int) -> Void = { _, _ in },
        measure: (PruningReport) throws -> Result
    ) throws -> Result {
        try model.keepingWeights {
            let report = try pruner(method).prune(
                model, windows: windows, cancellation: cancellation, progress: progress)
            return try measure(report)
        }
    }
}

extension LanguageModel {
    /// Runs what changes weights, and puts them back as they were.
    public func keepingWeights<Result>(_ body: () throws -> Result) rethrows -> Result {
        var before: [(parameter: Parameter, value: Parameter.Value)] = []
        visit { before.append(($0, $0.value)) }
        defer { for (parameter, value) in before { parameter.restore(value) } }
        return try body()
    }
}

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
