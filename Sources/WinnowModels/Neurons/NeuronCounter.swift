import WinnowCore
import WinnowIO

/// Counts the neurons that a text uses while a model reads it, block by block and apart for its two halves.
public final class NeuronCounter {
    public let predicate: NeuronPredicate
    /// Blocks that are counted.
    public let layers: ClosedRange<Int>
    /// Tokens that belong to the first half.
    public let middle: Int
    private let pool: KernelPool
    private var first: [NeuronCounts]
    private var second: [NeuronCounts]
    /// The first block that showed a value that is not a number.
    private var damaged: Int?

    /// - Parameter tokens: of the text.
    /// - Parameter pool: the runner's that reads it.
    public init(
        _ model: LanguageModel, _ predicate: NeuronPredicate, layers: ClosedRange<Int>, tokens: Int,
        on pool: KernelPool
    ) {
        self.predicate = predicate
        self.layers = layers
        self.pool = pool
        middle = tokens / 2
        first = layers.map { NeuronCounts(width: model.configuration.shape(ofLayer: $0).feedForwardWidth) }
        second = first
    }

    fileprivate init(_ whole: NeuronCounter, _ range: ClosedRange<Int>) {
        predicate = whole.predicate
        layers = range
        pool = whole.pool
        middle = whole.middle
        damaged = whole.damaged
        let places = range.lowerBound - whole.layers.lowerBound...range.upperBound - whole.layers.lowerBound
        first = Array(whole.first[places])
        second = Array(whole.second[places])
    }

    /// Takes in what a block's tap shows; other points and blocks are passed over.
    public func observe(_ layer: Int, _ values: TapValues) {
        guard values.point == .feedForwardHidden, layers.contains(layer), damaged == nil else { return }
        let index = layer - layers.lowerBound
        let early = min(values.tokens, max(0, middle - first[index].tokens))
        guard first[index].add(values.rows(0..<early), predicate, on: pool),
            second[index].add(values.rows(early..<values.tokens), predicate, on: pool)
        else {
            damaged = layer
            return
        }
    }

    /// Tokens that every block has seen.
    public var tokens: Int { zip(first, second).map { $0.tokens + $1.tokens }.min() ?? 0 }

    /// Of the blocks in ``layers``, over the whole text.
    ///
    /// - Throws: ``NeuronError/activationsNotFinite(layer:)``.
    public func counts() throws(NeuronError) -> [NeuronCounts] {
        if let damaged { throw .activationsNotFinite(layer: damaged) }
        var all = first
        for index in all.indices { all[index].merge(second[index]) }
        return all
    }

    /// Of each half.
    public func halves() throws(NeuronError) -> (first: [NeuronCounts], second: [NeuronCounts]) {
        if let damaged { throw .activationsNotFinite(layer: damaged) }
        return (first, second)
    }
}

extension NeuronCounter {
    /// What was counted in some of the blocks.
    func part(_ range: ClosedRange<Int>) -> NeuronCounter { NeuronCounter(self, range) }
}

extension TapValues {
    fileprivate func rows(_ range: Range<Int>) -> TapValues {
        TapValues(
            point: point, base: base + range.lowerBound * stride, stride: stride, tokens: range.count,
            width: width)
    }
}
