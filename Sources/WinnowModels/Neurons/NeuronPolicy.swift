/// Chooses the neurons that a model decodes with after a prompt.
public protocol NeuronPolicy: Sendable {
    /// What counts as used, and the share that is kept.
    var predicate: NeuronPredicate { get }
    /// Blocks that may leave neurons out.
    var layers: ClosedRange<Int> { get }
    /// Whether ``plan(after:)`` looks at what the prompt used.
    var readsPrompt: Bool { get }

    /// - Parameter prompt: what its tokens used, counted with ``predicate`` over ``layers``; without tokens where
    ///   ``readsPrompt`` is false.
    /// - Throws: ``NeuronError``.
    func plan(after prompt: NeuronCounter) throws -> NeuronPlan
}

extension NeuronPolicy {
    public var readsPrompt: Bool { true }
}

/// What policies share: where they work, in a model of which shape.
public struct NeuronScope: Sendable, Equatable {
    public let layers: ClosedRange<Int>
    /// Neurons of every block of the model.
    public let widths: [Int]

    /// - Parameter layers: nil: ``middle(of:)``.
    /// - Throws: ``NeuronError/hasExperts(architecture:)``, ``NeuronError/noSuchLayers(_:layers:)``.
    public init(_ model: LanguageModel, layers: ClosedRange<Int>? = nil) throws(NeuronError) {
        let shape = model.configuration
        guard model.blocks.allSatisfy({ $0.feedForward != nil }) else {
            throw .hasExperts(architecture: shape.architecture)
        }
        let layers = layers ?? NeuronScope.middle(of: shape.layers)
        guard layers.lowerBound >= 0, layers.upperBound < shape.layers else {
            throw .noSuchLayers(layers, layers: shape.layers)
        }
        self.layers = layers
        widths = (0..<shape.layers).map { shape.shape(ofLayer: $0).feedForwardWidth }
    }

    /// The blocks that the paper's code thins out, 6 to 26 of 32, in a model of so many: the first and the last ones
    /// stay whole.
    public static func middle(of count: Int) -> ClosedRange<Int> {
        count * 6 / 32...max(count - 1 - count * 5 / 32, count * 6 / 32)
    }

    /// The plan that keeps everything.
    var dense: NeuronPlan { NeuronPlan(.dense, layers: widths.map { _ in nil }) }

    /// A plan of the most important neurons.
    ///
    /// - Parameter rankings: of the blocks in ``layers``, the first to stay first; a ranking may leave neurons out.
    func plan(_ origin: NeuronPlan.Origin, keeping rankings: [[Int]], _ predicate: NeuronPredicate)
        -> NeuronPlan
    {
        var plan = NeuronPlan(origin, layers: widths.map { _ in nil })
        guard predicate.beta < 1 else { return plan }
        for (layer, ranking) in zip(layers, rankings) {
            let width = widths[layer]
            plan.layers[layer] = NeuronSet(
                width: width, ranking.prefix(predicate.textCount(width: width)))
        }
        return plan
    }
}
