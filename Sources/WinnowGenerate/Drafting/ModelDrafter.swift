import WinnowCore
import WinnowModels
import WinnowText

/// A smaller or sparser model that drafts for another.
public final class ModelDrafter: Drafter {
    private let cache: CachedSequence

    /// - Parameter runner: with the vocabulary of the model that verifies.
    /// - Parameter context: tokens of prompt and text together.
    public init(_ runner: ModelRunner, context: Int? = nil) {
        cache = CachedSequence(runner, capacity: context)
    }

    var memoryPlan: MemoryPlan { cache.memoryPlan }

    public func draft(
        after text: [TokenID], count: Int, like sampler: Sampler, cancellation: CancellationFlag?
    ) throws -> [DraftedToken] {
        let count = min(count, cache.capacity - text.count)
        guard count > 0 else { return [] }
        var sampler = sampler.drafting(at: text.count)
        var drafts: [DraftedToken] = []
        var logits = try cache.append(text[cache.reuse(text)...], cancellation: cancellation)
        while true {
            drafts.append(sampler.draft(logits))
            guard drafts.count < count else { return drafts }
            logits = try cache.append([drafts[drafts.count - 1].token], cancellation: cancellation)
        }
    }
}
