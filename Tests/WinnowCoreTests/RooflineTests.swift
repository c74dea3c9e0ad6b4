import Testing
import WinnowCore

@Suite struct RooflineTests {
    private let roofline = Roofline(bandwidth: 20e9, peak: 400e9)

    @Test func ceilingBendsAtTheRidge() {
        #expect(roofline.ridge == 20)
        #expect(roofline.ceiling(at: 2) == 40e9)
        #expect(roofline.ceiling(at: 20) == 400e9)
        #expect(roofline.ceiling(at: 1000) == 400e9)
    }

    @Test func sharesAreOfEachRoof() {
        // 1 GB in 0.1 s is half of the bandwidth; 4 G operations a tenth of the peak.
        let standing = roofline.standing(bytes: 1e9, operations: 4e9, seconds: 0.1)
        #expect(standing == Roofline.Standing(memoryShare: 0.5, arithmeticShare: 0.1))
        #expect(standing.bound == .memory)
        #expect(roofline.standing(bytes: 1e8, operations: 4e10, seconds: 0.125).bound == .arithmetic)
        #expect(roofline.standing(bytes: 1e8, operations: 4e9, seconds: 0.125).bound == .overhead)
        let none = roofline.standing(bytes: 1, operations: 1, seconds: 0)
        #expect(none == Roofline.Standing(memoryShare: 0, arithmeticShare: 0))
        let unknown = Roofline(bandwidth: 0, peak: 0).standing(bytes: 1, operations: 1, seconds: 1)
        #expect(unknown.bound == .overhead)
    }

    /// Wider vectors multiply more; a set that this machine lacks has no roof.
    @Test func peaksGrowWithTheSet() throws {
        let pool = try KernelPool(threads: 1)
        let scalar = try #require(InstructionSet.scalar.run { ArithmeticPeak.int8.sample(on: pool) } ?? nil)
        #expect(scalar > 1e8)
        #expect((InstructionSet.scalar.run { ArithmeticPeak.bf16.sample(on: pool) } ?? nil) == nil)
        for set in [InstructionSet.avx512, .neon] {
            guard let sample = set.run({ ArithmeticPeak.int8.sample(on: pool) }) else {
                #expect(!set.isAvailable)
                continue
            }
            #expect(try #require(sample) > 1.5 * scalar)
        }
    }
}
