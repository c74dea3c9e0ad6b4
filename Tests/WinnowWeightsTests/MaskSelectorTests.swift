import Testing
import WinnowCore
import WinnowWeights

/// What the selector promises, written the slow way: sort, prune the first, the lower index first among equals.
private func naiveKept(_ scores: [Float], pruned: Int) -> [Bool] {
    let order = scores.indices.sorted { scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 < $1) }
    var kept = [Bool](repeating: true, count: scores.count)
    for index in order.prefix(pruned) { kept[index] = false }
    return kept
}

private func bits(_ mask: SparsityMask) -> [Bool] {
    (0..<mask.rows).flatMap { row in (0..<mask.columns).map { mask[row, $0] } }
}

/// Scores with many equals: a few distinct values, zeros of both signs among them.
private func tiedScores(_ count: Int, seed: UInt64) -> [Float] {
    var random = Random(seed: seed)
    return (0..<count).map { _ in [0, -0.0, 0.5, 0.5, 1, 2, 3e-39, -1][Int(random.next() % 8)] }
}

private func smoothScores(_ count: Int, seed: UInt64) -> [Float] {
    var random = Random(seed: seed)
    return (0..<count).map { _ in random.normal() }
}

@Suite struct MaskSelectorTests {
    static let shapes = [(1, 1), (3, 31), (5, 64), (7, 65), (2, 257), (70, 1000)]

    @Test(arguments: shapes, [0, 0.25, 0.5, 0.6, 0.999, 1])
    func rowsLoseExactlyTheSmallest(_ shape: (Int, Int), share: Double) throws {
        let (rows, columns) = shape
        let pruned = Int(Double(columns) * share)
        for scores in [tiedScores(rows * columns, seed: 1), smoothScores(rows * columns, seed: 2)] {
            let scored = ScoredRows(name: "w", rows: rows, columns: columns, scores: scores)
            let expected = (0..<rows).flatMap {
                naiveKept(Array(scores[$0 * columns..<($0 + 1) * columns]), pruned: pruned)
            }
            for threads in [1, 2, 4] {
                let mask = try MaskSelector(on: KernelPool(threads: threads)).mask(scored, pruningInEachRow: pruned)
                #expect(bits(mask) == expected)
                #expect((0..<rows).allSatisfy { mask.keptCount(row: $0) == columns - pruned })
            }
        }
    }

    @Test(arguments: shapes, [0, 0.1, 0.5, 0.77, 1])
    func matricesLoseExactlyTheSmallest(_ shape: (Int, Int), share: Double) throws {
        let (rows, columns) = shape
        let pruned = Int((Double(rows * columns) * share).rounded())
        for scores in [tiedScores(rows * columns, seed: 3), smoothScores(rows * columns, seed: 4)] {
            let scored = ScoredRows(name: "w", rows: rows, columns: columns, scores: scores)
            let expected = naiveKept(scores, pruned: pruned)
            for threads in [1, 3] {
                let mask = try MaskSelector(on: KernelPool(threads: threads)).mask(scored, pruning: pruned)
                #expect(bits(mask) == expected)
                #expect(mask.prunedCount == pruned)
            }
        }
    }

    @Test func severalMatricesShareOneThreshold() throws {
        let shapes = [(3, 65), (70, 1000), (1, 1), (9, 64)]
        for seed in [5, 6] as [UInt64] {
            let scores = shapes.enumerated().map { index, shape in
                (seed == 5 ? tiedScores : smoothScores)(shape.0 * shape.1, seed + UInt64(index))
            }
            let scored = zip(shapes, scores).map {
                ScoredRows(name: "w", rows: $0.0, columns: $0.1, scores: $1)
            }
            let total = scores.reduce(0) { $0 + $1.count }
            for pruned in [0, 1, total / 3, total - 1, total] {
                let expected = naiveKept(scores.flatMap { $0 }, pruned: pruned)
                let selector = MaskSelector(on: try KernelPool(threads: 2))
                var threshold = try selector.threshold(over: scored, pruning: pruned)
                var actual: [Bool] = []
                for matrix in scored { actual += bits(try selector.mask(matrix, under: &threshold)) }
                #expect(actual == expected, "\(pruned) of \(total)")
            }
        }
    }

    @Test(arguments: [(1, 4), (2, 4), (4, 8), (1, 2), (3, 5)], [8, 31, 64, 257])
    func groupsKeepExactlyN(_ pattern: (Int, Int), columns: Int) throws {
        let (n, m) = pattern
        for scores in [tiedScores(5 * columns, seed: 7), smoothScores(5 * columns, seed: 8)] {
            let mask = try MaskSelector(on: KernelPool(threads: 2)).mask(
                ScoredRows(name: "w", rows: 5, columns: columns, scores: scores), keeping: n, of: m)
            #expect(mask.keeps(atMost: n, of: m))
            for row in 0..<5 {
                for start in stride(from: 0, to: columns, by: m) {
                    let group = start..<min(start + m, columns)
                    let wanted = (group.count * n + m - 1) / m
                    let values = group.map { scores[row * columns + $0] }
                    #expect(group.map { mask[row, $0] } == naiveKept(values, pruned: group.count - wanted))
                }
            }
        }
    }

    @Test(arguments: [Float.nan, .infinity])
    func scoresThatAreNotFiniteAreRefused(_ bad: Float) throws {
        var scores = smoothScores(4 * 70, seed: 9)
        scores[2 * 70 + 69] = bad
        scores[3 * 70] = bad
        let scored = ScoredRows(name: "layer", rows: 4, columns: 70, scores: scores)
        let selector = MaskSelector(on: try KernelPool(threads: 2))
        let expected = SelectionError.notFinite(name: "layer", row: 2)
        #expect(throws: expected) { _ = try selector.mask(scored, pruningInEachRow: 35) }
        #expect(throws: expected) { _ = try selector.mask(scored, pruning: 35) }
        #expect(throws: expected) { _ = try selector.mask(scored, keeping: 2, of: 4) }
    }
}

@Suite struct SparsityMaskTests {
    private let even = SparsityMask(rows: 3, columns: 65) { ($0 + $1) % 2 == 0 }
    private let third = SparsityMask(rows: 3, columns: 65) { ($0 + $1) % 3 == 0 }

    @Test func countsBits() {
        #expect(even.count == 195)
        #expect(even.keptCount == 33 + 32 + 33)
        #expect(even.keptCount(row: 1) == 32)
        #expect(even.prunedCount == 195 - 98)
        #expect(even[0, 64] && !even[1, 64])
        #expect(even.rowBytes == 16)
    }

    @Test func combinesMasks() {
        let both = even.intersection(third)
        let either = even.union(third)
        #expect(both == SparsityMask(rows: 3, columns: 65) { ($0 + $1) % 6 == 0 })
        #expect(both.isSubset(of: even) && even.isSubset(of: either) && !even.isSubset(of: third))
        #expect(even.flips(from: third) == either.keptCount - both.keptCount)
        #expect(even.jaccard(third) == Double(both.keptCount) / Double(either.keptCount))
        let none = SparsityMask(rows: 3, columns: 65) { _, _ in false }
        #expect(none.jaccard(none) == 1)
    }

    @Test func hashesRowsInAnyOrder() {
        let turned = SparsityMask(rows: 3, columns: 65) { even[[2, 0, 1][$0], $1] }
        #expect(even.sha256(rowOrder: [2, 0, 1]) == turned.sha256())
        #expect(even.sha256(rowOrder: [0, 1, 2]) == even.sha256())
        #expect(even.sha256() != third.sha256())
    }

    @Test func patternsAreReadAndWritten() {
        #expect(SparsityPattern("2:4") == .nOfM(n: 2, m: 4))
        #expect(SparsityPattern("unstructured") == .unstructured)
        #expect(SparsityPattern("1:4")?.sparsity == 0.75)
        #expect("\(SparsityPattern.nOfM(n: 4, m: 8))" == "4:8")
        for text in ["", "4:4", "5:4", "0:4", "2:", "2:4:8", "2:65", "-1:4", "two", "2 :4"] {
            #expect(SparsityPattern(text) == nil, "\(text)")
        }
    }
}
