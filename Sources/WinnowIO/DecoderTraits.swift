#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What sets a model apart from a plain Llama, whose values are the defaults.
public struct DecoderTraits: Sendable, Equatable {
    public enum Norm: Sendable { case rms, layer }
    public enum Activation: Sendable { case silu, geluTanh, gelu, relu }
    public enum NormPlacement: Sendable {
        /// x + branch(norm(x))
        case before
        /// norm(x + branch(x)): BERT.
        case after
    }

    public var norm = Norm.rms
    /// Of `layer` norms.
    public var hasNormBiases = true
    public var normPlacement = NormPlacement.before
    /// A norm before each branch, or after it (``normPlacement``); OLMo 2 has only those over a branch's output.
    public var hasBranchNorms = true
    /// The first block's attention reads its input as it stands (ModernBERT, after its embeddings' norm).
    public var omitsFirstNorm = false
    public var hasFinalNorm = true
    /// Added to every norm's weights: 1 where a file holds differences from 1, as Gemma's folders do.
    public var normOffset: Float = 0
    /// A norm over each branch's output too, before it joins the residual (Gemma 2 and 3).
    public var hasSandwichNorms = false
    /// RMS norms over each head of queries and keys, before rotary positions.
    public var hasQueryKeyNorms = false
    /// The norms of queries and keys are over all of their heads together (OLMo 2).
    public var normsWholeQueries = false
    public var hasQueryKeyValueBiases = false
    public var hasOutputBias = false
    public var hasFeedForwardBiases = false
    public var activation = Activation.silu
    /// down(act(gate x) * up x); otherwise down(act(up x)).
    public var isGated = true
    /// One matrix holds the rows of q, k and v, in this order.
    public var fusesQueryKeyValue = false
    /// One matrix holds the rows of gate and up, in this order.
    public var fusesGateUp = false
    public var embeddingScale: Float = 1
    /// x + attention(norm(x)) + feedForward(norm(x)), both of the same x.
    public var isParallel = false
    /// Both branches of a parallel block read one norm.
    public var sharesBranchNorm = false
    /// Each branch's output is multiplied with it before it joins the residual.
    public var residualScale: Float = 1
    /// Logits are multiplied with it.
    public var logitScale: Float = 1
    /// A token sees those before it; otherwise all of its text.
    public var isCausal = true
    /// There are logits; otherwise the final states are what the model gives.
    public var hasHead = true
    public var hasHeadBias = false
    /// Over the sum of a token's embeddings, before the first block.
    public var hasEmbeddingNorm = false
    /// Embeddings of kinds of segments, of which the first is added to every token's; 0: none.
    public var tokenTypes = 0
    /// Added to the scores of attention by distance; nil: nothing is.
    public var relativeBias: RelativeBias?
    /// Patches of an image in the place of tokens.
    public var image: ImageShape?
    /// A learned embedding for each position, in place of rotary ones; nil where there is none.
    public var learnedPositions: LearnedPositions?
    /// Of the scores; nil: 1 / sqrt(headWidth).
    public var attentionScale: Float?
    /// Scores become cap * tanh(score / cap); 0: they stay.
    public var attentionCap: Float = 0
    public var logitCap: Float = 0
    /// The tokens that a sliding layer sees, its own among them; without causal order those to each side of it; nil
    /// without such layers.
    public var slidingWindow: Int?
    /// For each layer whether it slides; empty without such layers.
    public var slidingLayers: [Bool] = []
    /// The rotary positions of sliding layers, where they have their own.
    public var slidingRope: RopeSettings?
    /// Experts in place of one feed-forward network; nil in dense models.
    public var experts: ExpertTraits?

    public init() {}

    /// The window of a layer; nil where it sees everything.
    public func window(ofLayer layer: Int) -> Int? {
        slidingLayers.indices.contains(layer) && slidingLayers[layer] ? slidingWindow : nil
    }
}

/// A table of position embeddings `[rows, width]`; position p reads row p + offset.
public struct LearnedPositions: Sendable, Equatable {
    public var rows: Int
    public var offset: Int

    public init(rows: Int, offset: Int) {
        self.rows = rows
        self.offset = offset
    }
}

/// A mixture of experts: feed-forward networks of which a router gives each token a few.
public struct ExpertTraits: Sendable, Equatable {
    /// In each block that has them; blocks may have other numbers (``LayerShape/experts``).
    public var count: Int
    /// That a token goes to.
    public var used: Int
    /// Of an expert's feed-forward network.
    public var width: Int
    /// Divides the weights of the chosen by their sum.
    public var renormalises: Bool
    /// Of a network that every token goes to beside; 0: none.
    public var sharedWidth = 0
    /// For each block whether it has experts; empty: all have.
    public var layers: [Bool] = []

    public init(count: Int, used: Int, width: Int, renormalises: Bool) {
        self.count = count
        self.used = used
        self.width = width
        self.renormalises = renormalises
    }

    func contains(layer: Int) -> Bool { layers.isEmpty || layers.indices.contains(layer) && layers[layer] }

    func isEverywhere(_ count: Int) -> Bool { (0..<count).allSatisfy(contains) }
}

/// A learned value for each head and distance between two tokens; distances share buckets, far ones more so.
public struct RelativeBias: Sendable, Equatable {
    public var buckets: Int
    /// From where on all distances share one.
    public var maxDistance = 128

    public init(buckets: Int) { self.buckets = buckets }

    /// The bucket of slot - position: half of them for each side, in each half the first half for one distance, the
    /// others on a logarithmic scale.
    ///
    /// - Source: T5, arXiv 1910.10683, as MPNet's code has it.
    package func bucket(of offset: Int) -> Int {
        let half = buckets / 2
        let side = offset > 0 ? half : 0
        let distance = abs(offset)
        let exact = half / 2
        guard distance >= exact else { return side + distance }
        // Rounded as the reference rounds: float32 between the logarithm and the product.
        let share = logf(Float(distance) / Float(exact)) / Float(log(Double(maxDistance) / Double(exact)))
        return side + min(exact + Int(share * Float(half - exact)), half - 1)
    }
}

/// An image that is cut into square patches, row by row.
public struct ImageShape: Sendable, Equatable {
    public var size: Int
    public var patch: Int
    public var channels: Int

    public init(size: Int, patch: Int, channels: Int) {
        self.size = size
        self.patch = patch
        self.channels = channels
    }

    public var patches: Int { (size / patch) * (size / patch) }
    /// Values of one patch: channels, then rows, then columns.
    public var patchValues: Int { channels * patch * patch }
}
