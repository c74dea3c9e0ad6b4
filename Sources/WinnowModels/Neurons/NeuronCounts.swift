import CWinnow
import WinnowCore

/// How often each neuron of one network was a token's core, and how much it was active then.
public struct NeuronCounts: Sendable, Equatable {
    public let width: Int
    public private(set) var tokens = 0
    /// Tokens whose core holds the neuron.
    public private(set) var counts: [Int]
    /// Its activations at those tokens, summed: what orders neurons with equal counts. Of magnitudes, |a|.
    public private(set) var sums: [Double]

    public init(width: Int) {
        self.width = width
        counts = Array(repeating: 0, count: width)
        sums = Array(repeating: 0, count: width)
    }

    /// Counts tokens' activations, token by token in order: chunks of a prompt give what the whole prompt gives.
    ///
    /// Within a token, the lowest index of equal activations is left out first.
    ///
    /// - Parameter values: `[tokens, width]` at ``TapPoint/feedForwardHidden``.
    /// - Returns: false when a value is not a number; nothing is counted then.
    public mutating func add(
        _ values: TapValues, _ predicate: NeuronPredicate, on pool: KernelPool
    ) -> Bool {
        precondition(values.width == width, "\(values.width) activations of \(width) neurons")
        let tokens = values.tokens
        let words = (width + 63) / 64
        var masks = Buffer<UInt64>(count: tokens * words)
        var isGood = [Bool](repeating: false, count: tokens)
        let out = masks.base
        isGood.withUnsafeMutableBufferPointer { isGood in
            nonisolated(unsafe) let isGood = isGood
            pool.inRows(tokens) { range in
                withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { scores in
                    for token in range {
                        isGood[token] = select(
                            values.base + token * values.stride, predicate, scores.baseAddress!,
                            out + token * words)
                    }
                }
            }
        }
        guard isGood.allSatisfy(\.self) else { return false }
        masks.withMutableElements { accumulate($0, values, predicate.ranking, words) }
        self.tokens += tokens
        return true
    }

    /// Sets the bits of one token's core.
    private func select(
        _ activations: UnsafePointer<Float>, _ predicate: NeuronPredicate,
        _ scores: UnsafeMutablePointer<Float>, _ mask: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        var active = 0
        switch predicate.ranking {
        case .sign:
            // What is not positive is never core: one value for all of it.
            for index in 0..<width {
                let value = activations[index]
                active += value > 0 ? 1 : 0
                scores[index] = value < 0 ? 0 : value
            }
        case .magnitude:
            for index in 0..<width {
                let value = abs(activations[index])
                active += value > 0 ? 1 : 0
                scores[index] = value
            }
        }
        // Mask words are little-endian in memory as the selection writes its bytes.
        return wn_select_top(
            scores, width, predicate.tokenCount(active: active),
            UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt8.self))
    }

    private mutating func accumulate(
        _ masks: UnsafeMutableBufferPointer<UInt64>, _ values: TapValues, _ ranking: NeuronPredicate.Ranking,
        _ words: Int
    ) {
        counts.withUnsafeMutableBufferPointer { counts in
            sums.withUnsafeMutableBufferPointer { sums in
                for token in 0..<values.tokens {
                    let row = values.base + token * values.stride
                    for word in 0..<words {
                        var bits = UInt64(littleEndian: masks[token * words + word])
                        while bits != 0 {
                            let index = word * 64 + bits.trailingZeroBitCount
                            bits &= bits - 1
                            counts[index] += 1
                            sums[index] += Double(ranking == .sign ? row[index] : abs(row[index]))
                        }
                    }
                }
            }
        }
    }

    /// Adds what was counted over other tokens.
    public mutating func merge(_ other: NeuronCounts) {
        precondition(other.width == width, "counts of \(other.width) neurons and of \(width)")
        tokens += other.tokens
        for index in 0..<width {
            counts[index] += other.counts[index]
            sums[index] += other.sums[index]
        }
    }

    /// The neurons that were some token's core: the most frequent first, of equals the more active, then the lower
    /// index. (The paper's code leaves the order of equals to an unstable sort.)
    public var ranking: [Int] {
        (0..<width).filter { counts[$0] > 0 }.sorted {
            (counts[$0], sums[$0], $1) > (counts[$1], sums[$1], $0)
        }
    }
}
