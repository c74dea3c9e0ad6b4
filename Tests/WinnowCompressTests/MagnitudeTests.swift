import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowWeights

@Suite struct MagnitudeTests {
    private func weights(_ model: LanguageModel) throws -> [[Float]] {
        let pool = try KernelPool(threads: 1)
        return PrunableLayers(model).layers.map { $0.parameter.matrix.floats(on: pool) }
    }

    private func prunedMasks(_ name: String, _ settings: (String, String)...) throws -> [SparsityMask] {
        let model = try TinyLlama.model(name)
        _ = try SequentialPruner(try method("magnitude", settings), threads: 2).prune(model)
        return try PrunableLayers(model).layers.map { try #require($0.parameter.matrix.mask) }
    }

    @Test func globalMasksCutAtOneThreshold() throws {
        let model = try TinyLlama.model("tied-q4_1.gguf")
        let weights = try weights(model)
        let total = weights.reduce(0) { $0 + $1.count }
        #expect(total == PrunableLayers(model).weightCount)
        for sparsity in [0.1, 0.3, 0.5, 0.77] {
            let masks = try prunedMasks("tied-q4_1.gguf", ("sparsity", "\(sparsity)"), ("scope", "global"))
            #expect(masks.reduce(0) { $0 + $1.prunedCount } == Int((Double(total) * sparsity).rounded()))
            var largestPruned: Float = 0
            var smallestKept = Float.infinity
            for (mask, values) in zip(masks, weights) {
                for (kept, value) in zip(mask.flags, values) {
                    if kept { smallestKept = min(smallestKept, abs(value)) } else { largestPruned = max(largestPruned, abs(value)) }
                }
            }
            #expect(largestPruned <= smallestKept)
        }
    }

    @Test(arguments: ["global", "matrix", "row"])
    func masksAreNested(_ scope: String) throws {
        let levels = ["0.1", "0.3", "0.4", "0.8"]
        let masks = try levels.map { try prunedMasks("tied-q8_0.gguf", ("sparsity", $0), ("scope", scope)) }
        for (looser, tighter) in zip(masks, masks.dropFirst()) {
            for (a, b) in zip(looser, tighter) { #expect(b.isSubset(of: a)) }
        }
    }

    @Test func countsAreExactInEachMatrix() throws {
        for mask in try prunedMasks("tied-q4_0.gguf", ("sparsity", "0.37")) {
            #expect(mask.prunedCount == Int((Double(mask.count) * 0.37).rounded()))
        }
        for mask in try prunedMasks("tied-q4_0.gguf", ("pattern", "1:4")) {
            #expect(mask.keeps(atMost: 1, of: 4))
            #expect(mask.keptCount == mask.count / 4)
        }
    }

    @Test func noSparsityKeepsEveryBit() throws {
        let model = try TinyLlama.model("tied-q4_1.gguf")
        let before = try weights(model)
        let report = try SequentialPruner(try method("magnitude", ("sparsity", "0")), threads: 1).prune(model)
        #expect(report.pruned == 0)
        #expect(try weights(model) == before)
    }

    @Test func masksThatCostMoreThanTheySaveAreSaid() throws {
        let model = try TinyLlama.model("tied-q4_1.gguf")
        let report = try SequentialPruner(try method("magnitude", ("sparsity", "0.1")), threads: 1).prune(model)
        #expect(report.bytes > report.bytesBefore)
        #expect(
            report.notes == ["14 of 14 matrices grew: a mask over masked-q4_1 saves bytes only above 25.0 % zeros"])
    }

    @Test func sourcesWithoutATwinStayDense() throws {
        let model = try TinyLlama.model("tied")
        let report = try SequentialPruner(try method("magnitude"), threads: 1).prune(model)
        #expect(report.formats == ["f32"])
        #expect(report.bytes == report.bytesBefore)
        #expect(report.zeros == report.prunable / 2)
        #expect(
            report.notes == [
                "f32 has no masked layout: zeros are stored like other weights and save no bytes "
                    + "(--store f16, int8 or int4 does)"
            ])
    }
}
