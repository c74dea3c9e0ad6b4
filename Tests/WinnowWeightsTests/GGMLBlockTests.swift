import Foundation
import Testing
import WinnowCore
import WinnowWeights

/// The larger block formats of GGUF against the `gguf` package (Tools/make-ggml-block-fixtures.py).
@Suite struct GGMLBlockTests {
    /// A row of 512 weights in its format, and its values.
    struct Row: Sendable, CustomTestStringConvertible {
        let format: WeightFormat
        let bytes: [UInt8]
        let weights: [Float]

        var testDescription: String { format.name }

        /// Two rows: the row, and the row again.
        func matrix() throws -> WeightMatrix {
            try WeightMatrix(
                format: format, rows: 2, columns: weights.count,
                parts: WeightMatrix.Parts(values: StorageSlice(copying: bytes + bytes)), name: format.name)
        }
    }

    /// The lines of a fixture, cut at spaces.
    private static func lines(_ name: String) -> [[Substring]] {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(2)
        let path = "/" + parts.joined(separator: "/") + "/Fixtures/\(name)"
        let text = try! String(contentsOfFile: path, encoding: .utf8)
        return text.split(separator: "\n").map { $0.split(separator: " ") }
    }

    static let rows: [Row] = {
        lines("ggml-blocks.txt").map { fields in
            let floats = bytes(fields[2])
            return Row(
                format: WeightFormats.named(String(fields[0]))!, bytes: bytes(fields[1]),
                weights: stride(from: 0, to: floats.count, by: 4).map { at in
                    Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(floats[at + $1]) << UInt32(8 * $1) })
                })
        }
    }()

    private static func bytes(_ hex: Substring) -> [UInt8] {
        let digits = Array(hex.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    @Test func everyFormatHasARow() {
        #expect(Set(Self.rows.map(\.format)) == Set(WeightFormats.all.filter { !$0.canEncode }))
    }

    @Test(arguments: rows) func weightsAreThoseOfTheReferenceBitForBit(_ row: Row) throws {
        let pool = try KernelPool(threads: 2)
        let floats = try row.matrix().floats(on: pool)
        #expect(floats.map(\.bitPattern) == (row.weights + row.weights).map(\.bitPattern))
    }

    /// Many blocks more, which meet every entry of every codebook: the hash of their weights.
    @Test(arguments: lines("ggml-hashes.txt").map { ["\($0[0])", "\($0[1])"] })
    func manyBlocksHaveTheHashOfTheReference(_ fields: [String]) throws {
        let format = try #require(WeightFormats.named(fields[0]))
        let columns = 262_144
        let size = format.rowBytes(columns: format.blockWidth)
        var state: UInt64 = 1
        var bytes = (0..<columns / format.blockWidth * size).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 32)
        }
        // The float16 scales: 1/16; IQ1_M has its one in the top bits of four words, MXFP4 a byte.
        let halves: [String: [Int]] = [
            "q2_k": [80, 82], "q3_k": [108], "q6_k": [208], "tq1_0": [52], "tq2_0": [64], "q5_1": [0, 2],
            "q4_k": [0, 2], "q5_k": [0, 2], "mxfp4": [], "nvfp4": [], "iq1_m": [],
        ]
        for block in stride(from: 0, to: bytes.count, by: size) {
            for place in halves[format.name] ?? [0] { (bytes[block + place], bytes[block + place + 1]) = (0, 0x2C) }
            if format.name == "mxfp4" { bytes[block] = bytes[block] >> 2 | 64 }
            guard format.name == "iq1_m" else { continue }
            for (place, top) in [(49, 0), (51, 0), (53, 0xC0), (55, 0x20)] as [(Int, UInt8)] {
                bytes[block + place] = bytes[block + place] & 15 | top
            }
        }
        let matrix = try WeightMatrix(
            format: format, rows: 1, columns: columns,
            parts: WeightMatrix.Parts(values: StorageSlice(copying: bytes)), name: format.name)
        let floats = try matrix.floats(on: KernelPool(threads: 1))
        #expect(floats.withUnsafeBytes { SHA256.hexadecimal(of: $0) } == fields[1])
    }

    @Test(arguments: rows, InstructionSet.allCases.filter(\.isAvailable))
    func productsAreThoseOfTheWeights(_ row: Row, _ set: InstructionSet) throws {
        var random = Random(seed: 3)
        let matrix = try row.matrix()
        for (tokens, mode) in [(1, ActivationMode.exact), (5, .exact), (1, .fast), (7, .fast)] {
            let x = (0..<tokens * matrix.columns).map { _ in random.uniform() - 0.5 }
            let out = try ProductTests.products(matrix, x, mode: mode, batch: tokens, threads: 2, set: set)
            for token in 0..<tokens {
                var sum = 0.0, allowed = 0.0
                for column in 0..<matrix.columns {
                    let weight = Double(row.weights[column]), value = Double(x[token * matrix.columns + column])
                    sum += weight * value
                    // Float32 rounding; or half a step of an input code in a block whose largest is at most 0.5.
                    allowed += abs(weight) * (mode == .exact ? abs(value) * 1e-6 : 0.5 / 127 / 2 + 1e-6)
                }
                for r in 0..<2 { #expect(abs(Double(out[token * 2 + r]) - sum) <= allowed) }
            }
        }
    }

    /// Whatever the batch: through a tile or not, one token sees what it sees among others.
    @Test(arguments: rows) func bitsDoNotDependOnTheBatch(_ row: Row) throws {
        var random = Random(seed: 4)
        let matrix = try row.matrix()
        let x = (0..<7 * matrix.columns).map { _ in random.uniform() - 0.5 }
        for set in InstructionSet.allCases where set.isAvailable {
            let together = try ProductTests.products(matrix, x, mode: .fast, batch: 7, threads: 1, set: set)
            let alone = try ProductTests.products(matrix, x, mode: .fast, batch: 1, threads: 2, set: set)
            #expect(together.map(\.bitPattern) == alone.map(\.bitPattern))
        }
    }

    @Test(arguments: rows) func prunedTheyBecomeMaskedInt8(_ row: Row) throws {
        let pool = try KernelPool(threads: 1)
        let matrix = try row.matrix()
        let mask = SparsityMask(rows: 2, columns: matrix.columns) { row, column in (row + column) % 2 == 0 }
        let pruned = try matrix.masked(by: mask, on: pool, name: "w")
        #expect(pruned.format == .maskedInt8)
        let step = row.weights.map(abs).max()! / 127
        for (index, value) in try pruned.floats(on: pool).enumerated() {
            let (r, column) = (index / matrix.columns, index % matrix.columns)
            let expected = (r + column) % 2 == 0 ? row.weights[column] : 0
            #expect(abs(value - expected) <= step * 0.501)
        }
    }

    @Test func nothingIsRoundedToThem() throws {
        let pool = try KernelPool(threads: 1)
        let matrix = try #require(Self.rows.first).matrix()
        for format in WeightFormats.all where !format.canEncode && format != matrix.format {
            #expect(throws: WeightError.cannotEncode(name: "w", format: format.name)) {
                try matrix.converted(to: format, on: pool, name: "w")
            }
        }
    }
}
