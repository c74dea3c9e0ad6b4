import CAllocations
import Testing
import WinnowCore
import WinnowModels
import WinnowText
import WinnowWeights

/// Decoding in steady state asks for a few small things only: a step's buffers are the workspace's, and a page of keys
/// and values holds 64 tokens.
@Suite struct AllocationTests {
    @Test(arguments: ["q4_1", "int8", "masked-int8", "f16"])
    func decodingAllocatesLittle(_ name: String) throws {
        let runner = try makeRunner(
            try tinyModel(try #require(WeightFormats.named(name))), threads: 2, mode: .fast, kvType: .f16)
        let sequence = runner.makeSequence(capacity: 64)
        let token: [TokenID] = [5]
        func step() throws {
            runner.begin()
            try token.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            try runner.run()
            _ = try runner.logits(rows: 0..<1)
        }
        for _ in 0..<3 { try step() }
        let before = allocations_of_thread()
        for _ in 0..<16 { try step() }
        let during = allocations_of_thread() - before
        // Not glibc: nothing is counted.
        #if canImport(Glibc)
            try #require(before > 0)
        #endif
        // Closures and arrays of a step of two blocks, none of them a tensor: 38 without optimisation. No more with the
        // text's length, and nothing that grows with the model's width.
        #expect(during < 16 * 48, "\(during) allocations in 16 steps")
    }
}
