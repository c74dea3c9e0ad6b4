/// Learns merges from counted words: the most frequent pair becomes a token, over and over.
///
/// Counts are exact, and only the words that hold a pair are gone through when it is merged.
struct MergeLearner {
    /// The symbols of all words; a word's own shrink in place as it is merged.
    private var symbols: [Int32] = []
    private var starts: [Int] = []
    private var lengths: [Int32] = []
    private var wordCounts: [Int64] = []

    private var table = PairTable()
    /// By the number of the pair.
    private var counts: [Int64] = []
    /// Lists of words, one after the other; an entry of the queue holds a range.
    private var pool: [Int32] = []
    private var queue = PairQueue()

    // What one merge changes: pairs it made, with the words that have them.
    private var made: [(pair: Int32, word: Int32)] = []
    /// By the number of the pair: its place in `touched`, plus one, where this merge made it.
    private var places: [Int32] = []
    private var lastWords: [Int32] = []
    private var touched: [Int] = []

    mutating func add(word: UnsafeBufferPointer<UInt8>, ids: [Int32], count: Int64) {
        guard word.count > 1 else { return }
        starts.append(symbols.count)
        lengths.append(Int32(word.count))
        wordCounts.append(count)
        for byte in word { symbols.append(ids[Int(byte)]) }
    }

    private mutating func number(_ left: Int32, _ right: Int32) -> Int {
        let number = table.number(PairTable.key(left, right))
        if number == counts.count {
            counts.append(0)
            places.append(0)
            lastWords.append(-1)
        }
        return number
    }

    /// Counts the pairs of all words.
    mutating func begin() {
        for word in starts.indices {
            let start = starts[word]
            for index in start..<start + Int(lengths[word]) - 1 {
                record(number(symbols[index], symbols[index + 1]), word, 1)
            }
        }
        flush()
    }

    /// Notes that a word gained a pair.
    @inline(__always)
    private mutating func record(_ pair: Int, _ word: Int, _ sign: Int64) {
        counts[pair] += sign * wordCounts[word]
        guard sign > 0 else { return }
        if places[pair] == 0 {
            touched.append(pair)
            places[pair] = Int32(touched.count)
            lastWords[pair] = -1
        }
        if lastWords[pair] != Int32(word) {
            lastWords[pair] = Int32(word)
            made.append((Int32(pair), Int32(word)))
        }
    }

    /// Puts the pairs that were made into the queue.
    private mutating func flush() {
        var ends = [Int](repeating: 0, count: touched.count + 1)
        for (pair, _) in made { ends[Int(places[Int(pair)])] += 1 }
        ends[0] = pool.count
        for index in 1..<max(ends.count, 1) { ends[index] += ends[index - 1] }
        let starts = ends
        pool.append(contentsOf: repeatElement(0, count: made.count))
        var next = starts
        for (pair, word) in made {
            let place = Int(places[Int(pair)]) - 1
            pool[next[place]] = word
            next[place] += 1
        }
        for (place, pair) in touched.enumerated() {
            if counts[pair] > 0 {
                queue.push(
                    .init(
                        count: counts[pair], key: table.keys[pair], pair: pair,
                        words: starts[place]..<starts[place + 1]))
            }
            places[pair] = 0
        }
        touched.removeAll(keepingCapacity: true)
        made.removeAll(keepingCapacity: true)
    }

    /// Takes the most frequent pair out; nil when none occurs `minimum` times.
    mutating func next(minimum: Int64) -> (left: Int32, right: Int32, entry: PairQueue.Entry)? {
        while let first = queue.first {
            let count = counts[first.pair]
            if first.count != count {
                queue.recount(count)
                continue
            }
            guard count >= max(1, minimum) else { return nil }
            _ = queue.pop()
            return (Int32(truncatingIfNeeded: first.key >> 32), Int32(truncatingIfNeeded: first.key), first)
        }
        return nil
    }

    /// Replaces a pair by `merged` in the words that have it.
    mutating func merge(_ left: Int32, _ right: Int32, into merged: Int32, _ entry: PairQueue.Entry) {
        for place in entry.words {
            let word = Int(pool[place]), start = starts[word], end = start + Int(lengths[word])
            var from = start, to = start
            while from < end {
                guard symbols[from] == left, from + 1 < end, symbols[from + 1] == right else {
                    symbols[to] = symbols[from]
                    from += 1
                    to += 1
                    continue
                }
                if to > start {
                    let before = symbols[to - 1]
                    record(number(before, left), word, -1)
                    record(number(before, merged), word, 1)
                }
                if from + 2 < end {
                    let after = symbols[from + 2]
                    record(number(right, after), word, -1)
                    record(number(merged, after), word, 1)
                }
                symbols[to] = merged
                from += 2
                to += 1
            }
            lengths[word] = Int32(to - start)
        }
        flush()
    }
}
