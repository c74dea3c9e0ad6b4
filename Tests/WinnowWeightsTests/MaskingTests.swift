import Testing
import WinnowCore
import WinnowWeights

/// Masks that packing must survive: nothing, everything, a ragged last byte, lone bits, whole empty runs.
private let adversarialMasks: [(name: String, isKept: @Sendable (Int, Int) -> Bool)] = [
    ("all pruned", { _, _ in false }),
    ("all kept", { _, _ in true }),
    ("first column", { $1 == 0 }),
    ("last column", { (row, column) in column == 95 || column == 64 }),
    ("odd", { ($0 + $1) % 2 == 1 }),
    ("alternate rows", { (row, _) in row % 2 == 0 }),
    ("empty runs", { (_, column) in column / 32 == 1 }),
    ("two of four", { ($1 + $0) % 4 < 2 }),
    ("scattered", { (row, column) in (row &* 7919 &+ column &* 104_729) % 13 < 5 }),
]

@Suite struct MaskingTests {
    private static let pool = 2

    /// Codes of f32 values, exactly in reach of every format: multiples of a power of two.
    private func values(_ matrix: WeightMatrix) throws -> [Float] {
        matrix.floats(on: try KernelPool(threads: 1))
    }

    @Test(arguments: ["f32", "f16", "bf16", "q4_0", "q4_1", "q8_0", "int8", "int4"])
    func keptWeightsKeepTheirBits(_ name: String) throws {
        let format = try #require(WeightFormats.named(name))
        let pool = try KernelPool(threads: MaskingTests.pool)
        let dense = try FormatCase(format, rows: 9, columns: 96, group: 32, seed: 4).matrix
        let before = try values(dense)
        for (label, isKept) in adversarialMasks {
            let mask = SparsityMask(rows: 9, columns: 96, isKept: isKept)
            let masked = try dense.masked(by: mask, on: pool, name: "w")
            #expect(masked.format == format.masked ?? format)
            let after = try values(masked)
            for index in before.indices {
                let expected = mask[index / 96, index % 96] ? before[index] : 0
                #expect(
                    after[index].bitPattern == expected.bitPattern || expected == 0 && after[index] == 0,
                    "\(name), \(label), weight \(index)")
            }
            if format.masked != nil { #expect(masked.mask == mask) }
            #expect(masked.zeros(on: pool) >= mask.prunedCount)
        }
    }

    /// The same weights, a bit a block instead of one a weight, and back.
    @Test func blocksOfFourKeepTheirBits() throws {
        let pool = try KernelPool(threads: MaskingTests.pool)
        for columns in [4, 64, 100, 260] {
            let dense = try FormatCase(.int8, rows: 9, columns: columns, seed: 5).matrix
            let mask = SparsityMask(rows: 9, columns: columns) { ($0 * 7 + $1 / 4 * 5) % 11 < 3 }
            let loose = try dense.masked(by: mask, on: pool, name: "w")
            let blocks = try loose.maskingZeros(in: .block4Int8, group: 0, on: pool, name: "w")
            let kept = loose.nonzeros(on: pool)
            #expect(try values(blocks) == values(loose))
            #expect(kept.isSubset(of: try #require(blocks.mask)))
            #expect(try #require(blocks.mask).isSubset(of: mask))
            #expect(blocks.parts.mask?.byteCount == 9 * ((columns / 4 + 63) / 64 * 8))
            let back = try blocks.maskingZeros(in: .maskedInt8, group: 0, on: pool, name: "w")
            #expect(try values(back) == values(loose) && back.mask == kept)
            // Part of a block goes: it stays, with zeros.
            let half = SparsityMask(rows: 9, columns: columns) { $1 % 2 == 0 }
            let less = try blocks.masked(by: half, on: pool, name: "w")
            #expect(less.format == .block4Int8)
            #expect(try values(less) == values(loose.masked(by: half, on: pool, name: "w")))
        }
        let odd = try FormatCase(.int8, rows: 2, columns: 6, seed: 5).matrix
        #expect(throws: WeightError.unevenBlocks(name: "w", columns: 6, blockWidth: 4)) {
            try odd.maskingZeros(in: .block4Int8, group: 0, on: pool, name: "w")
        }
    }

    @Test func blockMasksAreChecked() throws {
        let good = try FormatCase(.block4Int8, rows: 3, columns: 100, sparsity: 0.5, seed: 8).matrix
        func read(_ change: (inout [UInt8]) -> Void) throws -> WeightMatrix {
            var mask = [UInt8](good.parts.mask!.bytes)
            change(&mask)
            var parts = good.parts
            parts.mask = StorageSlice(copying: mask)
            return try WeightMatrix(format: .block4Int8, rows: 3, columns: 100, parts: parts, name: "w")
        }
        #expect(try values(read { _ in }) == values(good))
        // 25 blocks: bit 25 of a row stands for nothing.
        #expect(throws: WeightError.maskPastColumns(name: "w", row: 0)) { try read { $0[3] |= 2 } }
        #expect(throws: WeightError.self) { try read { $0[0] ^= 1 } }
        #expect(throws: WeightError.self) { try read { $0.removeLast(8) } }
    }

    /// What lets kernels read a mask without counting: every four columns keep two, no more and no fewer.
    @Test func masksOfTwoOfFourAreKnown() throws {
        let pool = try KernelPool(threads: 1)
        let dense = try FormatCase(try #require(WeightFormats.named("q8_0")), rows: 3, columns: 128, group: 32).matrix
        func isKnown(_ isKept: @escaping (Int, Int) -> Bool) throws -> Bool {
            let mask = SparsityMask(rows: 3, columns: 128, isKept: isKept)
            return try dense.masked(by: mask, on: pool, name: "w").descriptor.pointee.two_of_four
        }
        #expect(try isKnown { (row, column) in (column + row) % 2 == 0 })
        #expect(try isKnown { (_, column) in column / 4 % 2 == 0 ? column % 4 < 2 : column % 4 > 1 })
        #expect(try !isKnown { (_, column) in column % 8 < 4 })
        #expect(try !isKnown { (row, column) in (column + row) % 2 == 0 && !(row == 2 && column == 126) })
        #expect(try !isKnown { (row, column) in (column + row) % 2 == 0 || (row == 0 && column == 1) })
        #expect(try !isKnown { (_, _) in true })
    }

    @Test(arguments: ["f16", "q4_0", "q4_1", "q8_0", "int8", "int4"])
    func pruningTwiceIsPruningBoth(_ name: String) throws {
        let pool = try KernelPool(threads: MaskingTests.pool)
        let dense = try FormatCase(try #require(WeightFormats.named(name)), rows: 9, columns: 96, group: 32).matrix
        let first = SparsityMask(rows: 9, columns: 96) { ($0 + $1) % 2 == 0 }
        let second = SparsityMask(rows: 9, columns: 96) { ($0 + $1) % 3 != 0 }
        let twice = try dense.masked(by: first, on: pool, name: "w").masked(by: second, on: pool, name: "w")
        let once = try dense.masked(by: first.intersection(second), on: pool, name: "w")
        #expect(twice.mask == once.mask)
        #expect(try values(twice) == values(once))
        #expect(twice.parts.values.bytes.elementsEqual(once.parts.values.bytes))
    }

    @Test(arguments: ["masked-q4_0", "masked-q4_1", "masked-q8_0"])
    func scalesAreTheSourcesOwn(_ name: String) throws {
        let masked = try #require(WeightFormats.named(name))
        let pool = try KernelPool(threads: MaskingTests.pool)
        let dense = try FormatCase(masked.dense, rows: 5, columns: 64).matrix
        let packed = try dense.masked(
            by: SparsityMask(rows: 5, columns: 64) { $0 == $1 % 5 }, on: pool, name: "w")
        let head = name == "masked-q4_1" ? 4 : 2
        let block = dense.parts.values.byteCount / (5 * 2)
        let expected = (0..<10).flatMap { Array(dense.parts.values.bytes[$0 * block..<$0 * block + head]) }
        #expect(Array(try #require(packed.parts.scales).bytes) == expected)
    }

    @Test(arguments: [("int8", 0), ("int4", 32), ("int4", 64), ("f16", 0)], adversarialMasks.map(\.name))
    func requantizedStaysOnTheMask(_ stored: (String, Int), label: String) throws {
        let format = try #require(WeightFormats.named(stored.0))
        let isKept = try #require(adversarialMasks.first { $0.name == label }).isKept
        let pool = try KernelPool(threads: MaskingTests.pool)
        let source = try FormatCase(.q4_1, rows: 6, columns: 96, seed: 11).matrix
        let mask = SparsityMask(rows: 6, columns: 96, isKept: isKept)
        let packed = try source.masked(by: mask, storedAs: format, group: stored.1, on: pool, name: "w")
        #expect(packed.format == format.masked)
        #expect(packed.mask == mask)
        let (before, after) = (try values(source), try values(packed))
        for row in 0..<6 {
            let range = row * 96..<(row + 1) * 96
            let kept = range.filter { mask[row, $0 % 96] }
            let largest = kept.map { abs(before[$0]) }.max() ?? 0
            // Half a step of the kept weights' own grid; the 4-bit one clips at 7 of 8 on one side.
            let bound = stored.0 == "int8" ? largest / 254 : stored.0 == "int4" ? largest / 8 : largest / 2048
            for index in range {
                if mask[row, index % 96] {
                    #expect(abs(after[index] - before[index]) <= bound * 1.001)
                } else {
                    #expect(after[index] == 0)
                }
            }
        }
    }

    @Test func weightsTooLargeForTheFormatAreRefused() throws {
        let pool = try KernelPool(threads: 1)
        var values = [Float](repeating: 1, count: 64)
        values[40] = 70_000
        let source = try WeightMatrix(
            format: .f32, rows: 2, columns: 32, parts: .init(values: StorageSlice(copying: values)), name: "w")
        let all = SparsityMask(rows: 2, columns: 32) { _, _ in true }
        #expect(throws: WeightError.notFinite(name: "w", row: 1)) {
            _ = try source.masked(by: all, storedAs: .f16, group: 0, on: pool, name: "w")
        }
        // Pruned, it is nobody's business.
        let without = SparsityMask(rows: 2, columns: 32) { $0 == 0 || $1 != 8 }
        let packed = try source.masked(by: without, storedAs: .f16, group: 0, on: pool, name: "w")
        #expect(packed.zeros(on: pool) == 1)
    }

    /// A matrix of every format in every masked format: the zeros it had are the pruned weights, no others.
    @Test(arguments: ["f32", "f16", "bf16", "q4_0", "q4_1", "q8_0", "int8", "int4"])
    func zerosBecomeTheMask(_ name: String) throws {
        let pool = try KernelPool(threads: MaskingTests.pool)
        let format = try #require(WeightFormats.named(name))
        let dense = try FormatCase(format, rows: 9, columns: 96, group: 32, seed: 6).matrix
        let mask = SparsityMask(rows: 9, columns: 96) { ($0 * 7 + $1 * 5) % 11 < 5 }
        var sources = [dense, try dense.masked(by: mask, on: pool, name: "w")]
        sources.append(try sources[1].converted(to: .f32, on: pool, name: "w"))
        for source in sources {
            let before = try values(source)
            for target in WeightFormats.all where target.isMasked {
                let packed = try source.maskingZeros(in: target, group: 32, on: pool, name: "w")
                #expect(packed.format == target)
                guard source.format != target else {
                    #expect(packed === source)
                    continue
                }
                let mask = try #require(packed.mask)
                let after = try values(packed)
                for index in before.indices {
                    // A block is kept for any of its weights.
                    let first = index / target.maskColumns * target.maskColumns
                    let isKept = before[first..<first + target.maskColumns].contains { $0 != 0 }
                    #expect(mask[index / 96, index % 96] == isKept, "\(source.format) to \(target)")
                    if before[index] == 0 { #expect(after[index] == 0) }
                    if source.format.masked == target { #expect(after[index] == before[index]) }
                }
            }
        }
    }

    @Test func aMatrixWithoutZerosGetsAFullMask() throws {
        let pool = try KernelPool(threads: MaskingTests.pool)
        let ones = [Float](repeating: 1, count: 3 * 96)
        let source = try WeightMatrix(
            format: .f32, rows: 3, columns: 96, parts: .init(values: StorageSlice(copying: ones)), name: "w")
        for target in WeightFormats.all where target.isMasked {
            let packed = try source.maskingZeros(in: target, group: 64, on: pool, name: "w")
            #expect(packed.mask?.prunedCount == 0 && packed.zeros(on: pool) == 0)
            #expect(try values(packed).allSatisfy { abs($0 - 1) < 0.01 }, "\(target)")
        }
    }
}
