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

    static let rows: [Row] = {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(2)
        let path = "/" + parts.joined(separator: "/") + "/Fixtures/ggml-blocks.txt"
        let text = try! String(contentsOfFile: path, encoding: .utf8)
        return text.split(separator: "\n").map { line in
            let fields = line.split(separator: " ")
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
