import WinnowCore
import WinnowText

/// Drafts what followed the last time that the text ended like this: for answers that repeat their prompt, as
/// edits, extracts and code do. Costs no model (Saxena, *Prompt Lookup Decoding*, 2023).
public final class PromptLookup: Drafter {
    /// Tokens that have to be alike, the longest run first.
    private let longest: Int
    private let shortest: Int

    public init(longest: Int = 4, shortest: Int = 2) {
        self.longest = longest
        self.shortest = shortest
    }

    public func draft(
        after text: [TokenID], count: Int, like sampler: Sampler, cancellation: CancellationFlag?
    ) -> [DraftedToken] {
        for length in stride(from: longest, through: shortest, by: -1) where text.count > length {
            let end = text.suffix(length)
            // The latest place counts: what a text does now it did a moment ago.
            for start in stride(from: text.count - length - 1, through: 0, by: -1)
            where text[start..<start + length].elementsEqual(end) {
                return text[(start + length)...].prefix(count).map { DraftedToken($0) }
            }
        }
        return []
    }
}
