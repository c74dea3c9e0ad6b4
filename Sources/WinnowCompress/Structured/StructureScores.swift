import WinnowCore
import WinnowModels
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How much each part of a block is worth; the smallest goes first.
enum StructureScores {
    /// Of each input channel of a matrix: the norm of what it adds to the outputs, ||W[:, j]|| ||X[j]||.
    ///
    /// It is Wanda's score |w| ||X[j]|| summed in squares over a column: what the comparison of An et al. (*FLAP*, arXiv
    /// 2312.11983) calls Wanda-sp.
    ///
    /// - Parameter squares: of each channel, summed over tokens; nil leaves inputs out: the norm of the weights alone.
    static func channels(_ matrix: WeightMatrix, squares: [Double]?, on pool: KernelPool) -> [Double] {
        let floats = matrix.floats(on: pool)
        var sums = [Double](repeating: 0, count: matrix.columns)
        for row in 0..<matrix.rows {
            for column in 0..<matrix.columns {
                let weight = Double(floats[row * matrix.columns + column])
                sums[column] += weight * weight
            }
        }
        if let squares { for column in sums.indices { sums[column] *= squares[column] } }
        return sums.map { $0.squareRoot() }
    }

    /// Of groups of channels that go together.
    static func groups(_ channels: [Double], of width: Int) -> [Double] {
        stride(from: 0, to: channels.count, by: width).map { first in
            channels[first..<min(first + width, channels.count)].reduce(0) { $0 + $1 * $1 }.squareRoot()
        }
    }

    /// Of a block: 1 - the mean cosine of what goes in and what comes out, over tokens (*ShortGPT*, arXiv 2403.03853,
    /// equation 3).
    static func influence(
        from input: UnsafePointer<Float>, to output: UnsafePointer<Float>, tokens: Int, width: Int
    ) -> Double {
        var sum = 0.0
        for token in 0..<tokens {
            let (x, y) = (input + token * width, output + token * width)
            var (xy, xx, yy) = (0.0, 0.0, 0.0)
            for column in 0..<width {
                let (a, b) = (Double(x[column]), Double(y[column]))
                xy += a * b
                xx += a * a
                yy += b * b
            }
            sum += xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : 0
        }
        return 1 - sum / Double(tokens)
    }
}

extension Array where Element == Double {
    /// The places of the `count` largest, in rising order; of equals the first stays.
    func places(ofLargest count: Int) -> [Int] {
        indices.sorted { (self[$0], $1) > (self[$1], $0) }.prefix(count).sorted()
    }
}
