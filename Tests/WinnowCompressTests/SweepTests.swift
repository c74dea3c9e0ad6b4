import Testing
import WinnowCompress
import WinnowCore
import WinnowModels

@Suite struct SweepTests {
    /// Two lines that meet at 0.42, with noise of a hundredth.
    @Test(arguments: 1...10)
    func findsTheBreakOfTwoLines(_ seed: Int) throws {
        var random = Random(seed: UInt64(seed))
        let points = (0...18).map { step -> (x: Double, y: Double) in
            let x = Double(step) * 0.05
            let noise = 0.01 * Double(random.normal())
            return (x, 3 + 0.2 * x + 6 * max(0, x - 0.42) + noise)
        }
        let knee = try #require(KneeFinder().knee(of: points))
        #expect(abs(knee.x - 0.42) <= 0.02)
        #expect(knee.slopeAfter > knee.slopeBefore && knee.residual < 0.03)
    }

    @Test func noKneeWhereThereIsNone() {
        typealias Point = (x: Double, y: Double)
        let line: [Point] = (0..<9).map { (x: Double($0), y: Double(10 - $0)) }
        let heights: [Double] = [0, 3, 6, 9, 13, 14, 15, 16, 17]
        let other: [Point] = heights.enumerated().map { (x: Double($0.offset), y: $0.element) }
        #expect(KneeFinder().knee(of: other) == nil)
        #expect(KneeFinder().knee(of: Array(line.prefix(4))) == nil)
        #expect(KneeFinder().knee(of: line + [(x: 9, y: .nan)]) == nil)
    }

    @Test func essentialSparsity() {
        let levels = [(0.1, 10.1), (0.2, 10.4), (0.3, 10.6), (0.4, 14), (0.5, 25), (0.6, 60)]
        let essential = EssentialSparsity(levels.map { (sparsity: $0.0, perplexity: $0.1) }, dense: 10)
        #expect(essential.withinTolerance == 0.2)
        #expect(abs(essential.knee!.x - 0.33) < 0.05)
        #expect(EssentialSparsity([(sparsity: 0.1, perplexity: 11)], dense: 10).withinTolerance == nil)
    }

    @Test func aSnapshotPutsEveryWeightBack() throws {
        let model = try TinyLlama.model("tied-q4_1.gguf")
        let before = PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) }
        let snapshot = WeightSnapshot(model)
        for sparsity in ["0.2", "0.5", "0.3"] {
            let pruner = SequentialPruner(
                try method("magnitude", ("sparsity", sparsity), ("scope", "global")), threads: 1)
            let wanted = (Double(PrunableLayers(model).weightCount) * Double(sparsity)!).rounded()
            #expect(try pruner.prune(model).pruned == Int(wanted))
            snapshot.restore()
            #expect(PrunableLayers(model).layers.map { ObjectIdentifier($0.parameter.matrix) } == before)
        }
    }

    @Test func theRivalIsTheBestQuantizedModelOfThatSize() {
        let curve = QuantizedFrontier([
            .init(cost: 4, perplexity: 20), .init(cost: 2, perplexity: 80), .init(cost: 3, perplexity: 90),
            .init(cost: 8, perplexity: 10), .init(cost: 9, perplexity: .nan), .init(cost: 5, perplexity: 20),
        ])
        #expect(curve.points.map(\.cost) == [2, 4, 8])
        #expect(abs(curve.perplexity(at: 3)! - 40) < 1e-9)
        #expect(
            curve.perplexity(at: 1.9) == nil && curve.perplexity(at: 100) == 10
                && abs(curve.perplexity(at: 2)! - 80) < 1e-9)
        #expect(abs(curve.ratio(.init(cost: 6, perplexity: 10))! - 1 / 2.0.squareRoot()) < 1e-9)
        #expect(QuantizedFrontier([]).perplexity(at: 1) == nil)
    }
}
