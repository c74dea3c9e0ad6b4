/// Cuts a word into the pieces whose scores add up to the most: Viterbi over a trie of the vocabulary.
///
/// - Source: SentencePiece's `EncodeOptimized`, Kudo 2018 (arXiv 1804.10959), section 3.2.
/// - Complexity: O(n * longest piece).
struct UnigramModel: Sendable {
    private let pieces: ByteKeyTable
    private let ids: [TokenID]
    /// Scores by number of piece, 0 for what users defined: log-probabilities are below it.
    private let scores: [Double]
    private let longest: Int
    private let unknown: TokenID
    private let unknownScore: Double
    /// Tokens of bytes for what has no piece; empty without such.
    private let byteIDs: [TokenID]

    init(_ definition: TokenizerDefinition, byteIDs: [TokenID]) throws(TokenizerError) {
        guard let unknown = definition.unknownID else {
            throw .missingKey("unknown token", expected: "the id of a token for what has no piece")
        }
        var pieces = ByteKeyTable(capacity: definition.tokens.count)
        var ids: [TokenID] = []
        var scores: [Double] = []
        var longest = 0
        var lowest = Double.infinity
        for (id, token) in definition.tokens.enumerated() {
            let kind = definition.kinds[id]
            let score = Double(definition.scores[id])
            // tokenizer.json has scores for all of its vocabulary; the penalty counts from the lowest of them.
            if kind == .normal || definition.scoresCoverAll { lowest = min(lowest, score) }
            guard kind == .normal || kind == .userDefined || kind == .unused || definition.scoresCoverAll,
                !token.isEmpty
            else { continue }
            _ = pieces.append(token)
            ids.append(TokenID(id))
            scores.append(kind == .userDefined && !definition.scoresCoverAll ? 0 : score)
            longest = max(longest, token.utf8.count)
        }
        self.pieces = pieces
        self.ids = ids
        self.scores = scores
        self.longest = longest
        self.unknown = unknown
        unknownScore = (lowest.isFinite ? lowest : 0) - 10
        self.byteIDs = definition.hasByteFallback && byteIDs.allSatisfy { $0 >= 0 } ? byteIDs : []
    }

    private struct Best {
        var score = -Double.infinity
        var start = 0
        var id: TokenID = -1
    }

    /// Appends the ids of a word; unknown scalars that follow one another are one token.
    func encode(_ word: UnsafeBufferPointer<UInt8>, into output: inout [TokenID]) {
        guard word.count > 0 else { return }
        var best = [Best](repeating: Best(), count: word.count + 1)
        best[0].score = 0
        var start = 0
        while start < word.count {
            var width = 1
            while start + width < word.count, word[start + width] & 0xC0 == 0x80 { width += 1 }
            let score = best[start].score
            var hasSingle = false
            var stop = start + width
            while stop <= word.count, stop - start <= longest {
                if let number = pieces.find(UnsafeBufferPointer(rebasing: word[start..<stop])) {
                    let sum = score + scores[number]
                    if sum > best[stop].score { best[stop] = Best(score: sum, start: start, id: ids[number]) }
                    if stop - start == width { hasSingle = true }
                }
                repeat { stop += 1 } while stop < word.count && word[stop] & 0xC0 == 0x80
            }
            if !hasSingle {
                let sum = score + unknownScore
                if sum > best[start + width].score {
                    best[start + width] = Best(score: sum, start: start, id: unknown)
                }
            }
            start += width
        }
        var parts: [(range: Range<Int>, id: TokenID)] = []
        var end = word.count
        while end > 0 {
            parts.append((best[end].start..<end, best[end].id))
            end = best[end].start
        }
        var wasUnknown = false
        for part in parts.reversed() {
            let isUnknown = part.id == unknown
            if isUnknown, !byteIDs.isEmpty {
                for index in part.range { output.append(byteIDs[Int(word[index])]) }
            } else if !(isUnknown && wasUnknown) {
                output.append(part.id)
            }
            wasUnknown = isUnknown
        }
    }
}
