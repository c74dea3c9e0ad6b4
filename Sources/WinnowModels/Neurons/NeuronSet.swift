/// Some neurons of one feed-forward network.
public struct NeuronSet: Sendable, Equatable {
    /// Neurons that the network has.
    public let width: Int
    /// Those that are in the set, rising, each once.
    public let indices: [Int]

    /// - Parameter indices: in any order, none outside 0..<width.
    public init(width: Int, _ indices: some Sequence<Int>) {
        let sorted = Set(indices).sorted()
        precondition(
            (sorted.first ?? 0) >= 0 && (sorted.last ?? 0) < width, "neurons outside of 0..<\(width)")
        self.width = width
        self.indices = sorted
    }

    /// Every neuron.
    public init(all width: Int) { self.init(width: width, 0..<width) }

    public var count: Int { indices.count }
    public var isAll: Bool { count == width }

    /// Neurons in both over neurons in either; 1 of two empty sets.
    public func overlap(with other: NeuronSet) -> Double {
        let shared = Set(indices).intersection(other.indices).count
        let either = count + other.count - shared
        return either > 0 ? Double(shared) / Double(either) : 1
    }
}

/// The neurons that each block keeps: what decoding runs over after a prompt.
public struct NeuronPlan: Sendable, Equatable {
    /// How the neurons came to be chosen.
    public enum Origin: Sendable, Equatable {
        /// Nothing is left out.
        case dense
        /// By the prompt's own activations.
        case stability
        /// As the texts of a cluster use them.
        case similarity(cluster: Int)
        /// Without a look at the prompt.
        case fixed(String)
    }

    public var origin: Origin
    /// nil: all neurons of that block.
    public var layers: [NeuronSet?]
    /// Of the sets of the prompt's halves, the mean over blocks; nil where nobody asked.
    public var overlap: Double?

    public init(_ origin: Origin, layers: [NeuronSet?], overlap: Double? = nil) {
        self.origin = origin
        self.layers = layers
        self.overlap = overlap
    }

    /// Kept neurons over all, of the blocks that leave some out; 1 where none does.
    public var share: Double {
        let sets = layers.compactMap(\.self)
        let width = sets.reduce(0) { $0 + $1.width }
        return width > 0 ? Double(sets.reduce(0) { $0 + $1.count }) / Double(width) : 1
    }
}
