/// Cuts a word into the pieces whose scores add up to the most: Viterbi over a trie of the vocabulary.
///
/// - Source: SentencePiece's `EncodeOptimized`, Kudo 2018 (arXiv 1804.10959), section 3.2.
/// - Complexity: O(n * longest piece).
struct UnigramModel: Sendable {
    private let trie: PieceTrie
    /// Scores by id, 0 for what users defined: log-probabilities are below it.
    private let scores: [Double]
    private let unknown: TokenID
    private let unknownScore: Double
    /// Tokens of bytes for what has no piece; empty without such.
    private let byteIDs: [TokenID]
    /// Sums run on through a text and are rounded to 32 bits, as in SentencePiece; `tokenizers` keeps 64 and starts
    /// anew in each word.
    let runsOn: Bool

    init(_ definition: TokenizerDefinition, byteIDs: [TokenID]) throws(TokenizerError) {
        guard let unknown = definition.unknownID else {
            throw .missingKey("unknown token", expected: "the id of a token for what has no piece")
        }
        let runsOn = definition.isSentencePiece
        var pieces: [(text: [UInt8], number: Int)] = []
        pieces.reserveCapacity(definition.tokens.count)
        var scores = [Double](repeating: 0, count: definition.tokens.count)
        var lowest = Double.infinity
        // SentencePiece starts from the least positive number.
        var highest = Double(Float.leastNormalMagnitude)
        for (id, kind) in definition.kinds.enumerated() {
            scores[id] = Double(definition.scores[id])
            // tokenizer.json has scores for all of its vocabulary; the penalty counts from the lowest of them.
            if kind == .normal || definition.scoresCoverAll {
                lowest = min(lowest, scores[id])
                highest = max(highest, scores[id])
            }
        }
        for (id, token) in definition.tokens.enumerated() {
            let kind = definition.kinds[id]
            let takesPart = kind == .normal || kind == .userDefined || (kind == .unused && !runsOn)
            guard takesPart || definition.scoresCoverAll else { continue }
            pieces.append((Array(token.utf8), id))
            if kind == .userDefined, runsOn {
                scores[id] = Double(token.utf8.count) * highest - 0.1
            } else if kind == .userDefined, !definition.scoresCoverAll {
                scores[id] = 0
            }
        }
        trie = PieceTrie(pieces)
        self.scores = scores
        self.unknown = unknown
        let unknownScore = (lowest.isFinite ? lowest : 0) - 10
        self.unknownScore = runsOn ? Double(Float(unknownScore)) : unknownScore
        self.byteIDs = definition.hasByteFallback && byteIDs.allSatisfy { $0 >= 0 } ? byteIDs : []
        self.runsOn = runsOn
    }

    /// The best way to each byte of a word; kept from word to word.
    struct Scratch {
        fileprivate var scores: [Double] = []
        fileprivate var starts: [Int32] = []
        fileprivate var ids: [TokenID] = []
        /// What the words so far add up to, where sums run on.
        fileprivate var sum = 0.0
    }

    /// Writes the ids of a word, at most one a byte, and returns how many; unknown scalars that follow one another
    /// are one token.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch, to output: UnsafeMutablePointer<TokenID>
    ) -> Int {
        let count = word.count
        guard count > 0 else { return 0 }
        if scratch.scores.count <= count {
            scratch.scores = [Double](repeating: 0, count: count + 64)
            scratch.starts = [Int32](repeating: 0, count: count + 64)
            scratch.ids = [TokenID](repeating: 0, count: count + 64)
        }
        let sum = scratch.scores.withUnsafeMutableBufferPointer { best in
            scratch.starts.withUnsafeMutableBufferPointer { starts in
                scratch.ids.withUnsafeMutableBufferPointer { ids in
                    search(word, from: runsOn ? scratch.sum : 0, best, starts, ids)
                }
            }
        }
        scratch.sum = sum
        return scratch.starts.withUnsafeBufferPointer { starts in
            scratch.ids.withUnsafeBufferPointer { ids in write(word, starts, ids, to: output) }
        }
    }

    @inline(__always)
    private func search(
        _ word: UnsafeBufferPointer<UInt8>, from sum: Double, _ best: UnsafeMutableBufferPointer<Double>,
        _ starts: UnsafeMutableBufferPointer<Int32>, _ ids: UnsafeMutableBufferPointer<TokenID>
    ) -> Double {
        best[0] = sum
        for index in 1...word.count { best[index] = -.infinity }
        trie.units.withUnsafeBufferPointer { units in
            scores.withUnsafeBufferPointer { scores in
                var start = 0
                while start < word.count {
                    var width = 1
                    while start + width < word.count, word[start + width] & 0xC0 == 0x80 { width += 1 }
                    let score = best[start]
                    var hasSingle = false
                    var node = PieceTrie.root
                    var stop = start
                    while stop < word.count, let next = PieceTrie.child(of: node, by: word[stop], in: units) {
                        node = next
                        stop += 1
                        let id = PieceTrie.number(node)
                        guard id >= 0 else { continue }
                        var sum = score + scores[id]
                        if runsOn { sum = Double(Float(sum)) }
                        if sum > best[stop] {
                            best[stop] = sum
                            starts[stop] = Int32(truncatingIfNeeded: start)
                            ids[stop] = TokenID(truncatingIfNeeded: id)
                        }
                        if stop - start == width { hasSingle = true }
                    }
                    if !hasSingle {
                        var sum = score + unknownScore
                        if runsOn { sum = Double(Float(sum)) }
                        if sum > best[start + width] {
                            best[start + width] = sum
                            starts[start + width] = Int32(truncatingIfNeeded: start)
                            ids[start + width] = unknown
                        }
                    }
                    start += width
                }
            }
        }
        return best[word.count]
    }

    /// Writes the pieces of the best way; it is found from the end.
    private func write(
        _ word: UnsafeBufferPointer<UInt8>, _ starts: UnsafeBufferPointer<Int32>,
        _ ids: UnsafeBufferPointer<TokenID>,
        to output: UnsafeMutablePointer<TokenID>
    ) -> Int {
        // Written backwards from the end of the room, which is one id a byte, then moved to its start.
        var place = word.count
        var end = word.count
        var wasUnknown = false
        while end > 0 {
            let start = Int(starts[end])
            let id = ids[end]
            let isUnknown = id == unknown
            if isUnknown, !byteIDs.isEmpty {
                for index in stride(from: end - 1, through: start, by: -1) {
                    place -= 1
                    output[place] = byteIDs[Int(word[index])]
                }
            } else if !(isUnknown && wasUnknown) {
                place -= 1
                output[place] = id
            }
            wasUnknown = isUnknown
            end = start
        }
        let size = word.count - place
        for index in 0..<size { output[index] = output[place + index] }
        return size
    }
}
