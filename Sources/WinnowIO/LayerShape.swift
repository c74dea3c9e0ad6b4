/// What one block has of its own, in models whose blocks differ.
public struct LayerShape: Sendable, Equatable {
    public var heads: Int
    public var keyValueHeads: Int
    /// Of the dense feed-forward network.
    public var feedForwardWidth: Int
    /// 0 without.
    public var experts: Int

    public init(heads: Int, keyValueHeads: Int, feedForwardWidth: Int, experts: Int) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.feedForwardWidth = feedForwardWidth
        self.experts = experts
    }
}

extension ModelConfiguration {
    /// The shape of a block.
    public func shape(ofLayer layer: Int) -> LayerShape {
        if layerShapes.indices.contains(layer) { return layerShapes[layer] }
        return LayerShape(
            heads: heads, keyValueHeads: keyValueHeads, feedForwardWidth: feedForwardWidth,
            experts: traits.experts?.count ?? 0)
    }

    /// The most that any block has, of each.
    public var widestLayer: LayerShape {
        layerShapes.reduce(shape(ofLayer: -1)) {
            LayerShape(
                heads: max($0.heads, $1.heads), keyValueHeads: max($0.keyValueHeads, $1.keyValueHeads),
                feedForwardWidth: max($0.feedForwardWidth, $1.feedForwardWidth),
                experts: max($0.experts, $1.experts))
        }
    }
}

extension ModelConfiguration {
    /// Keeps a shape for each block where one of the lists, with a number for each block, says that they differ.
    mutating func setLayerShapes(heads: [Int], keyValueHeads: [Int], feedForwardWidths: [Int]) {
        let lists = [heads, keyValueHeads, feedForwardWidths]
        guard lists.contains(where: { Set($0).count > 1 }) else { return }
        layerShapes = (0..<layers).map {
            LayerShape(
                heads: heads[$0], keyValueHeads: keyValueHeads[$0], feedForwardWidth: feedForwardWidths[$0],
                experts: traits.experts?.count ?? 0)
        }
    }

    /// Puts the number of experts of each block in place; those of blocks without are not looked at.
    mutating func setExperts(_ counts: [Int]) {
        let own = counts.indices.map { hasExperts(inLayer: $0) ? counts[$0] : 0 }
        guard !layerShapes.isEmpty || Set(own.filter { $0 > 0 }).count > 1 else { return }
        let shapes = (0..<layers).map(shape(ofLayer:))
        layerShapes = shapes
        for layer in layerShapes.indices { layerShapes[layer].experts = own[layer] }
    }
}

extension ModelConfiguration {
    /// What the attention kernels have room for.
    private static let mostHeadColumns = 256
    private static let mostQueriesOfAHead = 64

    /// - Throws: ``CheckpointError/unsupported(file:feature:advice:)`` for heads that the kernels have no room for.
    func checkAttention(file: String) throws(CheckpointError) {
        guard headWidth <= ModelConfiguration.mostHeadColumns else {
            throw .unsupported(
                file: file, feature: "attention with heads of \(headWidth) columns",
                advice: "use a model whose heads have \(ModelConfiguration.mostHeadColumns) at most")
        }
        for layer in 0..<layers {
            let own = shape(ofLayer: layer)
            guard own.heads / own.keyValueHeads <= ModelConfiguration.mostQueriesOfAHead else {
                throw .unsupported(
                    file: file,
                    feature: "attention with \(own.heads) heads over \(own.keyValueHeads) of keys",
                    advice: "use a model with \(ModelConfiguration.mostQueriesOfAHead) to one at most")
            }
        }
    }
}
