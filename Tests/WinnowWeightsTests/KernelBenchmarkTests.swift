import Testing
import WinnowCore
import WinnowWeights

@Suite struct KernelBenchmarkTests {
    private func matrix(_ format: WeightFormat, _ rows: Int, _ columns: Int) throws -> WeightMatrix {
        var random = Random(seed: 3)
        return try WeightMatrix.random(
            rows: rows, columns: columns, format: format, sparsity: 0.5, using: &random)
    }

    /// Counted in the masks themselves; 300 columns end inside a word.
    @Test(arguments: ["unstructured", "1x4", "1x12", "2:4", "1:4", "3:10"])
    func randomMasksFollowTheirPattern(_ text: String) throws {
        let pattern = try #require(SparsityPattern(text))
        var random = Random(seed: 3)
        let matrix = try WeightMatrix.random(
            rows: 70, columns: 300, format: .maskedInt8, sparsity: 0.8, pattern: pattern, using: &random)
        let mask = try #require(matrix.mask)
        if case .nOfM(let n, let m) = pattern {
            for row in 0..<70 {
                for first in stride(from: 0, to: 300, by: m) {
                    #expect((first..<first + m).filter { mask[row, $0] }.count == n)
                }
            }
        } else {
            #expect(abs(mask.sparsity - 0.8) < 0.03)
            #expect(
                mask.keepsBlocks(of: 12) == (text == "1x12") && mask.keepsBlocks(of: 4) == (pattern.unit > 1))
        }
    }

    @Test func patternsThatDoNotFitAreRefused() throws {
        var random = Random(seed: 3)
        #expect(throws: WeightError.unevenBlocks(name: "random weights", columns: 66, blockWidth: 4)) {
            try WeightMatrix.random(
                rows: 1, columns: 66, format: .maskedInt8, sparsity: 0.5, pattern: .blocks(columns: 4),
                using: &random)
        }
        #expect(throws: WeightError.unevenBlocks(name: "random weights", columns: 6, blockWidth: 4)) {
            try WeightMatrix.random(
                rows: 1, columns: 96, format: .block4Int8, sparsity: 0.5, pattern: .blocks(columns: 6),
                using: &random)
        }
    }

    /// Against counts by hand, 96 x 64 weights.
    @Test func costsAreCounted() throws {
        // q4_0: 18 bytes for 32 weights; one token reads 64 floats and writes 96.
        let q4 = ProductCost(try matrix(.q4_0, 96, 64), tokens: 1, mode: .fast)
        #expect(
            q4
                == ProductCost(
                    bytes: Double(96 * 2 * 18 + 4 * (64 + 96)), operations: Double(2 * 96 * 64),
                    arithmetic: .int8))
        // int8: a byte and four a row of scales; two planes, so each weight is multiplied twice.
        let int8 = ProductCost(try matrix(.int8, 96, 64), tokens: 512, mode: .fast)
        #expect(int8.bytes == Double(96 * 64 + 96 * 4 + 4 * 512 * (64 + 96)))
        #expect(int8.operations == Double(4 * 96 * 64 * 512))
        #expect(int8.arithmetic == .int8)
        let exact = ProductCost(try matrix(.int8, 96, 64), tokens: 2, mode: .exact)
        #expect(exact.operations == Double(2 * 96 * 64 * 2) && exact.arithmetic == .f32)
        // Half of the rows: half of the weights.
        let half = ProductCost(try matrix(.f32, 96, 64), tokens: 1, mode: .fast, rows: 48)
        #expect(half.bytes == Double(48 * 64 * 4 + 4 * (64 + 48)))
        #expect(half.intensity == half.operations / half.bytes)
    }

    @Test func everyCellIsMeasured() throws {
        let sets = InstructionSet.allCases.filter(\.isAvailable)
        var benchmark = KernelBenchmark(
            formats: [.q4_0, .maskedInt8],
            shapes: [.init(rows: 33, columns: 64), .init(rows: 96, columns: 32)],
            instructionSets: sets, workingSet: 1 << 16)
        benchmark.repetitions = 2
        benchmark.seconds = 0.0002
        benchmark.tokens = [1, 17]
        var seen: [Int] = []
        let result = try benchmark.run(on: KernelPool(threads: 2)) { done, all in
            seen.append(done)
            #expect(all == 4)
        }
        #expect(seen == [0, 1, 2, 3, 4])
        #expect(result.rows.count == 2 * 2 * 2 * sets.count)
        #expect(result.bandwidth > 0)
        for row in result.rows {
            #expect(row.seconds > 0 && row.roofline.peak > 0 && row.standing.memoryShare > 0)
            #expect(row.standing.arithmeticShare > 0)
        }
        #expect(Set(result.peaks.map(\.set)) == Set(sets))
    }

    @Test func copiesFillTheWorkingSet() throws {
        let pool = try KernelPool(threads: 2)
        let weights = try matrix(.q8_0, 16, 64)
        #expect(
            try ProductTimer(weights, workingSet: 0, mode: .fast, on: pool).workingSet == weights.byteCount)
        let many = try ProductTimer(weights, workingSet: 10 * weights.byteCount - 1, mode: .fast, on: pool)
        #expect(many.workingSet == 10 * weights.byteCount)
        #expect(try many.sample(tokens: 3, rows: 7, seconds: 0, on: pool) > 0)
    }

    @Test func shapesAreReadStrictly() {
        #expect(KernelBenchmark.Shape("4096x2048") == .init(rows: 4096, columns: 2048))
        for bad in ["", "x", "4096", "4096x", "0x5", "-1x5", "1x2x3", "4 x 4"] {
            #expect(KernelBenchmark.Shape(bad) == nil, "\(bad)")
        }
        #expect(!KernelBenchmark.fits(.q4_0, .init(rows: 8, columns: 33)))
        #expect(KernelBenchmark.fits(.int8, .init(rows: 8, columns: 33)))
    }
}
