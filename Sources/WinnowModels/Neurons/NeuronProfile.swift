import WinnowCore
import WinnowIO

/// Which neurons a model uses over a collection of texts, as a whole and for each kind of text.
///
/// Texts are clustered by the neurons that they use in one deep block.
public struct NeuronProfile: Sendable, Equatable {
    /// Texts that use similar neurons.
    public struct Cluster: Sendable, Equatable {
        /// Of the deep block's neurons, the share of the cluster's texts that use them; `[width of that block]`.
        public var centre: [Float]
        /// Neurons of every block, the most used first; those that no text used are not in it.
        public var rankings: [[Int]]
        /// Texts in the cluster.
        public var texts: Int

        public init(centre: [Float], rankings: [[Int]], texts: Int) {
            self.centre = centre
            self.rankings = rankings
            self.texts = texts
        }
    }

    /// How neurons were counted; its beta is the share that made a text's vector.
    public let predicate: NeuronPredicate
    /// Neurons of each block.
    public let widths: [Int]
    /// Over all texts, as in ``Cluster/rankings``.
    public let rankings: [[Int]]
    /// The block whose neurons tell texts apart.
    public let clusterLayer: Int
    public let clusters: [Cluster]
    public let tokens: Int
    /// Of the texts, 64 hexadecimal digits.
    public let textSha256: String
    /// Of the model, as ``modelDigest(_:)`` gives it.
    public let modelSha256: String

    public init(
        predicate: NeuronPredicate, widths: [Int], rankings: [[Int]], clusterLayer: Int, clusters: [Cluster],
        tokens: Int, textSha256: String, modelSha256: String
    ) {
        self.predicate = predicate
        self.widths = widths
        self.rankings = rankings
        self.clusterLayer = clusterLayer
        self.clusters = clusters
        self.tokens = tokens
        self.textSha256 = textSha256
        self.modelSha256 = modelSha256
    }

    /// The deep block of the paper, 25 of 32, in a model of so many.
    public static func deepLayer(of count: Int) -> Int { min(count * 25 / 32, count - 1) }

    /// The neurons that stand for a text when it is compared with others: its most frequent core neurons.
    ///
    /// - Parameter counts: of ``clusterLayer``.
    public func signature(of counts: NeuronCounts) -> NeuronSet {
        NeuronProfile.signature(of: counts, predicate)
    }

    static func signature(of counts: NeuronCounts, _ predicate: NeuronPredicate) -> NeuronSet {
        NeuronSet(width: counts.width, counts.ranking.prefix(predicate.textCount(width: counts.width)))
    }

    /// The cluster whose centre is nearest to a text's 0/1 vector, of equals the first.
    public func nearestCluster(to signature: NeuronSet) -> Int {
        BinaryClusters.nearest(to: signature.indices, among: clusters.map(\.centre)).index
    }

    /// What tells a model from others while its weights are pruned or quantized: the last norm, rounded to bfloat16.
    public static func modelDigest(_ model: LanguageModel) -> String {
        let norm = model.finalNorm?.weight.vector.floats() ?? []
        let offset = model.finalNorm?.offset ?? 0
        let rounded = norm.map { value -> UInt16 in
            let bits = (value + offset).bitPattern
            return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16).littleEndian
        }
        return rounded.withUnsafeBytes { SHA256.hexadecimal(of: $0) }
    }

    /// - Parameter file: what errors call the profile.
    /// - Throws: ``NeuronError/otherModel(file:reason:)``.
    public func check(_ model: LanguageModel, file: String) throws(NeuronError) {
        let shape = model.configuration
        let own = (0..<shape.layers).map { shape.shape(ofLayer: $0).feedForwardWidth }
        guard own.count == widths.count else {
            throw .otherModel(file: file, reason: "it has \(widths.count) layers, not \(own.count)")
        }
        if let layer = own.indices.first(where: { own[$0] != widths[$0] }) {
            throw .otherModel(
                file: file, reason: "layer \(layer) has \(widths[layer]) neurons, not \(own[layer])")
        }
        guard NeuronProfile.modelDigest(model) == modelSha256 else {
            throw .otherModel(file: file, reason: "the last norm differs")
        }
    }
}
