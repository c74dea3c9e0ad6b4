import Testing
import WinnowCore
import WinnowModels

/// The choice as the paper writes it, in float64 and whole sorts.
private enum NaiveNeurons {
    static func core(_ activations: [Double], alpha: Double, magnitude: Bool) -> [Int] {
        let values = activations.map { magnitude ? abs($0) : $0 }
        let active = values.filter { $0 > 0 }.sorted()
        guard !active.isEmpty else { return [] }
        // NumPy's percentile: linear between the values beside the rank.
        let rank = (1 - alpha) * Double(active.count - 1)
        let lower = Int(rank + 1e-12)
        let upper = min(lower + 1, active.count - 1)
        let threshold = active[lower] + (rank - Double(lower)) * (active[upper] - active[lower])
        return values.indices.filter { values[$0] > 0 && values[$0] >= threshold - 1e-12 }
    }

    static func text(_ tokens: [[Double]], alpha: Double, beta: Double, magnitude: Bool) -> [Int] {
        let width = tokens[0].count
        var counts = [Int](repeating: 0, count: width)
        var sums = [Double](repeating: 0, count: width)
        for token in tokens {
            for neuron in core(token, alpha: alpha, magnitude: magnitude) {
                counts[neuron] += 1
                sums[neuron] += magnitude ? abs(token[neuron]) : token[neuron]
            }
        }
        let order = (0..<width).sorted { (a: Int, b: Int) -> Bool in
            if counts[a] != counts[b] { return counts[a] > counts[b] }
            if sums[a] != sums[b] { return sums[a] > sums[b] }
            return a < b
        }
        return order.prefix(Int(beta * Double(width) + 1e-9)).filter { counts[$0] > 0 }.sorted()
    }
}

private func counts(
    _ tokens: [[Float]], _ predicate: NeuronPredicate, chunks: [Int]? = nil, threads: Int = 1
) throws -> NeuronCounts? {
    let pool = try KernelPool(threads: threads)
    var counts = NeuronCounts(width: tokens[0].count)
    var rest = tokens[...]
    for chunk in chunks ?? [tokens.count] {
        let part = rest.prefix(chunk)
        rest = rest.dropFirst(chunk)
        let isGood = part.flatMap(\.self).withUnsafeBufferPointer { values in
            counts.add(
                TapValues(
                    point: .feedForwardHidden, base: values.baseAddress!, stride: tokens[0].count,
                    tokens: part.count, width: tokens[0].count), predicate, on: pool)
        }
        guard isGood else { return nil }
    }
    return counts
}

private func activations(_ tokens: Int, _ width: Int, seed: UInt64) -> [[Float]] {
    var random = Random(seed: seed)
    return (0..<tokens).map { _ in (0..<width).map { _ in random.normal() } }
}

@Suite struct NeuronCountTests {
    @Test func sharesAreChecked() throws {
        for share in [0, -0.1, 1.01, .nan, .infinity] as [Double] {
            #expect(throws: NeuronError.self) { try NeuronPredicate(alpha: share) }
            #expect(throws: NeuronError.self) { try NeuronPredicate(beta: share) }
        }
        #expect(throws: NeuronError.badShare(name: "beta", value: 1.5)) { try NeuronPredicate(beta: 1.5) }
        #expect(
            "\(NeuronError.badShare(name: "beta", value: 1.5))"
                == "beta is 1.5; expected more than 0, at most 1")
    }

    /// Counts by hand: a share of the active neurons by percentile, a share of all neurons rounded down.
    @Test func countsByHand() throws {
        let predicate = try NeuronPredicate(alpha: 0.4, beta: 0.2)
        // Ten active: the 60th percentile stands between the sixth and the seventh, four are above.
        #expect(predicate.tokenCount(active: 10) == 4)
        #expect(predicate.tokenCount(active: 1) == 1)
        #expect(predicate.tokenCount(active: 0) == 0)
        #expect(predicate.textCount(width: 1536) == 307)
        #expect(try NeuronPredicate(beta: 0.29).textCount(width: 100) == 29)
        #expect(try NeuronPredicate(beta: 0.001).textCount(width: 100) == 1)
        #expect(try NeuronPredicate(alpha: 1).tokenCount(active: 7) == 7)
    }

    /// Three tokens, five neurons, alpha 0.5: cores {0, 3}, {3}, {0, 4}; 2 is large but negative.
    @Test func textByHand() throws {
        let tokens: [[Float]] = [
            [3, 1, -9, 2, 0], [-1, 0, -9, 0.5, 0], [1, 0.5, -9, 0.25, 4],
        ]
        let found = try #require(try counts(tokens, NeuronPredicate(alpha: 0.5)))
        #expect(found.counts == [2, 0, 0, 2, 1])
        #expect(found.sums == [4, 0, 0, 2.5, 4])
        #expect(found.ranking == [0, 3, 4])
        // By magnitude the large negative one is core for every token.
        let other = try #require(try counts(tokens, NeuronPredicate(ranking: .magnitude, alpha: 0.5)))
        #expect(other.ranking.first == 2 && other.counts[2] == 3)
    }

    @Test(arguments: NeuronPredicate.Ranking.allCases, [0.1, 0.4, 1])
    func choiceMatchesFloat64(_ ranking: NeuronPredicate.Ranking, _ alpha: Double) throws {
        for (tokens, width) in [(1, 1), (3, 31), (20, 64), (9, 257)] {
            let values = activations(tokens, width, seed: UInt64(width))
            let doubles = values.map { $0.map(Double.init) }
            for beta in [0.2, 0.5, 0.9] where Int(beta * Double(width)) > 0 {
                let predicate = try NeuronPredicate(ranking: ranking, alpha: alpha, beta: beta)
                let found = try #require(try counts(values, predicate, threads: 2))
                let kept = found.ranking.prefix(predicate.textCount(width: width)).sorted()
                #expect(
                    kept
                        == NaiveNeurons.text(
                            doubles, alpha: alpha, beta: beta, magnitude: ranking == .magnitude))
            }
        }
    }

    @Test func chunksAndThreadsChangeNothing() throws {
        let values = activations(40, 130, seed: 5)
        let predicate = try NeuronPredicate()
        let whole = try counts(values, predicate)
        #expect(try counts(values, predicate, chunks: [1, 16, 9, 14], threads: 3) == whole)
        // The order of tokens changes no count; merged halves are the whole.
        #expect(try counts(values.reversed(), predicate)?.counts == whole?.counts)
        var merged = try #require(try counts(Array(values[..<17]), predicate))
        merged.merge(try #require(try counts(Array(values[17...]), predicate)))
        #expect(merged.counts == whole?.counts && merged.tokens == 40)
    }

    @Test func smallerSharesAreNested() throws {
        let found = try #require(try counts(activations(12, 200, seed: 8), NeuronPredicate()))
        var last = Set<Int>()
        for beta in [0.1, 0.2, 0.4, 0.8] {
            let kept = Set(found.ranking.prefix(try NeuronPredicate(beta: beta).textCount(width: 200)))
            #expect(last.isSubset(of: kept) && kept.count > last.count)
            last = kept
        }
    }

    @Test func tokensWithoutActiveNeuronsCountForNone() throws {
        let found = try #require(try counts([[-1, 0, -2], [0, 0, 0]], NeuronPredicate()))
        #expect(found.ranking.isEmpty && found.tokens == 2)
        #expect(try counts([[1, .nan, 2]], NeuronPredicate()) == nil)
    }

    @Test func overlapIsSharedOverEither() {
        let a = NeuronSet(width: 8, [1, 2, 3])
        #expect(a.overlap(with: NeuronSet(width: 8, [3, 2, 5, 3])) == 0.5)
        #expect(a.overlap(with: a) == 1 && a.overlap(with: NeuronSet(width: 8, [7])) == 0)
        #expect(NeuronSet(width: 8, []).overlap(with: NeuronSet(width: 8, [])) == 1)
        #expect(NeuronSet(all: 8).isAll && !a.isAll)
    }
}
