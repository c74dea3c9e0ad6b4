import WinnowWeights

/// What a model adds to the embedding of tokens, or of patches, beside positions; each nil in models without.
public struct EmbeddingParts: Module {
    /// Stands before an image's patches, `[width]`.
    public var classToken: Parameter?
    /// Added to each patch, `[width]`.
    public var patchBias: Parameter?
    /// `[kinds, width]`; the first row is added to every token.
    public var tokenTypes: Parameter?
    /// Over the sum.
    public var norm: Norm?
    /// Added to scores of attention in every block, by distance: `[buckets, heads]`.
    public var relativeBias: Parameter?

    public init() {}

    public func visit(_ body: (Parameter) throws -> Void) rethrows {
        if let classToken { try body(classToken) }
        if let patchBias { try body(patchBias) }
        if let tokenTypes { try body(tokenTypes) }
        try norm?.visit(body)
        if let relativeBias { try body(relativeBias) }
    }
}
