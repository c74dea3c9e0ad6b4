import WinnowCore

extension ModelRunner {
    /// Pages that sequences hold.
    package var pagesInUse: Int { pages.pagesInUse }

    /// Tokens of a page of keys and values, its bytes, and the pages that a sequence of `tokens` takes.
    public var pageTokens: Int { KVPagePool.slots }
    public var pageBytes: Int { pages.pageBytes }
    public func pages(tokens: Int) -> Int {
        (tokens + KVPagePool.slots - 1) / KVPagePool.slots * model.configuration.listsPerSequence
    }

    /// Bytes of the workspace that a runner would plan: what a memory plan counts before there is one.
    public static func workspaceBytes(_ model: LanguageModel, _ configuration: Configuration) -> Int {
        RunnerWorkspace(
            model: model, mode: configuration.activations, tokens: configuration.chunk,
            logitRows: configuration.logitRows
        ).arena.byteCount
    }

    /// Bytes of KV pages that `tokens` of one sequence take in one layer: a slab at least.
    public static func cacheBytes(_ model: LanguageModel, _ configuration: Configuration, tokens: Int) -> Int
    {
        let shape = model.configuration
        let pool = KVPagePool(
            type: configuration.kvType, headWidth: shape.headWidth, pagesPerSlab: shape.listsPerSequence)
        let pages = (tokens + KVPagePool.slots - 1) / KVPagePool.slots * shape.widestLayer.keyValueHeads
        let slab = shape.listsPerSequence
        return (pages + slab - 1) / slab * slab * pool.pageBytes
    }
}
