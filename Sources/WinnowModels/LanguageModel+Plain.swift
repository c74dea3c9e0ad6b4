import WinnowIO

extension LanguageModel {
    /// What a twin for dense decoders of uniform blocks does not know of this model; nil when it knows all.
    ///
    /// For code that runs blocks by itself, as training does: it refuses a model by this name.
    public var beyondPlainDecoder: String? {
        let shape = configuration
        let traits = shape.traits
        if traits.image != nil { return "images" }
        if !traits.isCausal || !traits.hasHead { return "an encoder" }
        if traits.experts != nil { return "a mixture of experts" }
        if !shape.layerShapes.isEmpty { return "blocks that differ in shape" }
        if traits.isParallel { return "attention and feed-forward side by side" }
        if traits.normPlacement != .before || !traits.hasBranchNorms || !traits.hasFinalNorm {
            return "norms in other places"
        }
        if traits.normsWholeQueries { return "norms over whole queries" }
        if traits.norm == .layer, !traits.hasNormBiases { return "layer norms without biases" }
        if shape.rope.share != 1 { return "heads that turn in part" }
        if traits.residualScale != 1 || traits.logitScale != 1 { return "factors on branches or logits" }
        if traits.hasEmbeddingNorm || traits.tokenTypes > 0 || traits.relativeBias != nil
            || traits.hasHeadBias
        {
            return "other embeddings or heads"
        }
        return nil
    }
}
