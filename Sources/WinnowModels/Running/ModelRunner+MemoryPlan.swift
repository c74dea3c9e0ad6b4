import WinnowCore

extension ModelRunner {
    /// What running holds at its peak: the model as stored, this runner's workspace, cached keys and values.
    ///
    /// - Parameter tokens: the longest sequence.
    /// - Parameter sequences: how many of them at once.
    public func memoryPlan(tokens: Int, sequences: Int = 1) -> MemoryPlan {
        let shape = model.configuration
        let pagesPerList = (tokens + KVPagePool.slots - 1) / KVPagePool.slots
        var plan = MemoryPlan()
        if let store {
            plan.add("weights in memory", bytes: store.plan.memoryBytes)
        } else {
            plan.add("the model as stored", bytes: model.byteCount)
        }
        plan.add("the workspace of a step", bytes: space.arena.byteCount)
        plan.add(
            "cached keys and values",
            bytes: sequences * shape.listsPerSequence * pagesPerList * pages.pageBytes)
        return plan
    }
}
