import Testing
import WinnowCore

/// Naive float64 linear algebra.
private struct Square: Equatable {
    var order: Int
    var values: [Double]

    init(_ order: Int, _ value: (Int, Int) -> Double) {
        self.order = order
        values = (0..<order * order).map { value($0 / order, $0 % order) }
    }

    subscript(row: Int, column: Int) -> Double { values[row * order + column] }

    /// Gauss and Jordan with pivots.
    var inverse: Square {
        var a = self
        var result = Square(order) { $0 == $1 ? 1 : 0 }
        for column in 0..<order {
            let pivot = (column..<order).max { abs(a[$0, column]) < abs(a[$1, column]) }!
            for k in 0..<order {
                a.values.swapAt(column * order + k, pivot * order + k)
                result.values.swapAt(column * order + k, pivot * order + k)
            }
            let scale = 1 / a[column, column]
            for k in 0..<order {
                a.values[column * order + k] *= scale
                result.values[column * order + k] *= scale
            }
            for row in 0..<order where row != column {
                let factor = a[row, column]
                for k in 0..<order {
                    a.values[row * order + k] -= factor * a[column, k]
                    result.values[row * order + k] -= factor * result[column, k]
                }
            }
        }
        return result
    }

    /// X^T X of seeded inputs.
    static func gram(_ order: Int, tokens: Int, seed: UInt64) -> Square {
        var random = Random(seed: seed)
        let x = (0..<tokens * order).map { _ in Double(random.normal()) }
        return Square(order) { i, j in (0..<tokens).reduce(0) { $0 + x[$1 * order + i] * x[$1 * order + j] } }
    }
}

@Suite struct FactorisationTests {
    @Test(arguments: [1, 2, 7, 63, 64, 65, 130])
    func choleskyTimesItsTransposeIsTheMatrix(_ order: Int) throws {
        let matrix = Square.gram(order, tokens: order + 5, seed: UInt64(order))
        let pool = try KernelPool(threads: 2)
        var factor = Buffer<Double>(count: order * order)
        factor.withMutableElements { _ = $0.update(from: matrix.values) }
        try Cholesky.factor(&factor, order: order, on: pool)
        let lower = factor.withElements { values in Square(order) { values[$0 * order + $1] } }
        var inverse = factor
        Cholesky.invert(lower: &inverse, order: order, on: pool)
        let inverted = inverse.withElements { values in Square(order) { values[$0 * order + $1] } }
        for i in 0..<order {
            for j in 0..<order {
                let product = (0..<order).reduce(0) { $0 + lower[i, $1] * lower[j, $1] }
                #expect(abs(product - matrix[i, j]) <= 1e-10 * Double(order))
                if j > i { #expect(lower[i, j] == 0) }
                let one = (0..<order).reduce(0) { $0 + lower[i, $1] * inverted[$1, j] }
                #expect(abs(one - (i == j ? 1 : 0)) < 1e-8)
            }
        }
    }

    @Test func aPivotThatIsNotPositiveIsNamed() throws {
        let pool = try KernelPool(threads: 1)
        for bad in [0, 3, 70] {
            var matrix = Buffer<Double>(count: 100 * 100)
            matrix.withMutableElements { values in
                for index in 0..<100 { values[index * 101] = index == bad ? -2 : 1 }
            }
            #expect(throws: FactorisationError.notPositiveDefinite(pivot: bad, value: -2)) {
                try Cholesky.factor(&matrix, order: 100, on: pool)
            }
        }
    }

    /// U^T U is the inverse, and U[j, j]^2 the first element of the inverse of what is left from j on.
    @Test(arguments: [1, 5, 16, 70])
    func inverseFactor(_ order: Int) throws {
        let gram = Square.gram(order, tokens: order + 9, seed: 7)
        let mean = (0..<order).reduce(0) { $0 + gram[$1, $1] } / Double(order)
        let damped = Square(order) { gram[$0, $1] + ($0 == $1 ? 0.01 * mean : 0) }
        let pool = try KernelPool(threads: 2)
        let factor = try GramMatrix(order: order, values: gram.values).inverseFactor(damping: 0.01, on: pool)
        let inverse = damped.inverse
        for i in 0..<order {
            for j in 0..<order {
                if j < i { #expect(factor[i, j] == 0) }
                let product = (0..<order).reduce(0) { $0 + factor[$1, i] * factor[$1, j] }
                #expect(abs(product - inverse[i, j]) < 1e-9)
            }
            let rest = Square(order - i) { damped[$0 + i, $1 + i] }.inverse
            #expect(abs(factor[i, i] * factor[i, i] - rest[0, 0]) < 1e-9)
        }
        #expect(factor.dead == [] && factor.damping == 0.01)
    }

    @Test func theSheetsFactor() throws {
        let h = [4, 1, 0, 1, 1, 3, 1, 0, 0, 1, 2, 0.5, 1, 0, 0.5, 1]
        let factor = try GramMatrix(order: 4, values: h).inverseFactor(
            damping: 0, on: try KernelPool(threads: 1))
        let expected = [
            0.67783439, -0.3588535, 0.39872611, -0.87719745, 0, 0.64168895, -0.3666794, 0.1833397,
            0, 0, 0.75592895, -0.37796447, 0, 0, 0, 1,
        ]
        for index in 0..<16 { #expect(abs(factor[index / 4, index % 4] - expected[index]) < 1e-8) }
    }

    @Test func channelsInAnotherOrder() throws {
        let gram = Square.gram(9, tokens: 20, seed: 3)
        let order = [4, 0, 8, 1, 3, 2, 7, 6, 5]
        let pool = try KernelPool(threads: 1)
        let turned = Square(9) { gram[order[$0], order[$1]] }
        let expected = try GramMatrix(order: 9, values: turned.values).inverseFactor(damping: 0.1, on: pool)
        let actual = try GramMatrix(order: 9, values: gram.values).inverseFactor(
            damping: 0.1, channels: order, on: pool)
        for index in 0..<81 {
            #expect(abs(actual[index / 9, index % 9] - expected[index / 9, index % 9]) < 1e-12)
        }
    }

    @Test func silentChannelsAreNamedAndScaleIsNone() throws {
        let gram = Square(3) { $0 == $1 && $0 != 1 ? 4 : 0 }
        let pool = try KernelPool(threads: 1)
        let factor = try GramMatrix(order: 3, values: gram.values).inverseFactor(damping: 0, on: pool)
        #expect(factor.dead == [1])
        #expect(factor.diagonal == [0.5, 0.5, 0.5])
        let silent = try GramMatrix(order: 2, values: [0, 0, 0, 0]).inverseFactor(damping: 0.01, on: pool)
        #expect(silent.dead == [0, 1])
    }

    /// Two channels that are the same: no factor without damping, one with it.
    @Test func dampingHelpsWhereInputsAreAlike() throws {
        let gram = GramMatrix(order: 3, values: [1, 0, 0, 0, 2, 2, 0, 2, 2])
        let pool = try KernelPool(threads: 1)
        let error = #expect(throws: FactorisationError.self) {
            _ = try gram.inverseFactor(damping: 0, on: pool)
        }
        guard case .notPositiveDefinite(let pivot, let value) = error else { return }
        #expect(pivot == 1 && value < 1e-12)
        #expect(try gram.inverseFactor(damping: 0.01, on: pool).damping == 0.01)
        // A matrix with a negative eigenvalue of a tenth of the mean needs more than was asked for.
        let worse = GramMatrix(order: 2, values: [1, 1.1, 1.1, 1])
        #expect(try worse.inverseFactor(damping: 0.02, on: pool).damping == 0.2)
        #expect(throws: FactorisationError.self) {
            _ = try GramMatrix(order: 2, values: [1, 90, 90, 1]).inverseFactor(damping: 0.02, on: pool)
        }
    }
}
