/// SparseGPT the slow way, in float64: the inverse of what is left is made anew at every column.
struct NaiveSweep {
    var rows: Int
    var columns: Int
    /// `[rows, columns]`.
    var weights: [Double]
    var kept: [Bool]
    var losses: [Double]

    enum Selection {
        case given
        case share(Double, block: Int, unit: Int = 1)
        case nOfM(n: Int, m: Int)
    }

    /// - Parameter hessian: damped, positive definite, `[columns, columns]`.
    /// - Parameter round: what a kept weight becomes.
    init(
        _ weights: [Double], rows: Int, hessian: [Double], kept: [Bool]? = nil, _ selection: Selection,
        round: (_ row: Int, _ column: Int, Double) -> Double = { $2 }
    ) {
        let columns = weights.count / rows
        self.rows = rows
        self.columns = columns
        self.weights = weights
        self.kept = kept ?? weights.map { _ in true }
        losses = [Double](repeating: 0, count: rows)
        // Of each column j: the first row of the inverse of H's rows and columns from j on.
        let inverses = (0..<columns).map { j in
            NaiveSweep.inverse((j..<columns).map { a in (j..<columns).map { hessian[a * columns + $0] } })[0]
        }
        for j in 0..<columns {
            switch selection {
            case .given: break
            case .share(let share, let block, let unit) where j % block == 0:
                let end = min(columns, j + block)
                func goal(_ count: Int) -> Int { Int((Double(rows * count / unit) * share).rounded()) }
                let places = (0..<rows).flatMap { row in (j..<end).map { row * columns + $0 } }
                let scores = places.map { place in
                    self.kept[place]
                        ? Double(Float(abs(self.weights[place]) / inverses[place % columns][0].squareRoot()))
                        : -1
                }
                let units = stride(from: 0, to: scores.count, by: unit).map {
                    Naive.norm(scores[$0..<$0 + unit])
                }
                let before = units.count { $0 < 0 }
                let flags = Naive.kept(units, pruned: max(goal(end) - goal(j), before))
                for (index, place) in places.enumerated() where !flags[index / unit] {
                    self.kept[place] = false
                }
            case .share: break
            case .nOfM(let n, let m) where j % m == 0:
                let end = min(columns, j + m)
                for row in 0..<rows {
                    let places = (j..<end).map { row * columns + $0 }
                    let scores = places.map { place in
                        self.kept[place]
                            ? Double(
                                Float(abs(self.weights[place]) / inverses[place % columns][0].squareRoot()))
                            : -1
                    }
                    let wanted = ((end - j) * n + m - 1) / m
                    for (place, flag) in zip(places, Naive.kept(scores, pruned: end - j - wanted)) where !flag
                    {
                        self.kept[place] = false
                    }
                }
            case .nOfM: break
            }
            for row in 0..<rows {
                let w = self.weights[row * columns + j]
                let q = self.kept[row * columns + j] ? round(row, j, w) : 0
                let step = (w - q) / inverses[j][0]
                losses[row] += (w - q) * (w - q) / inverses[j][0] / 2
                for k in j..<columns { self.weights[row * columns + k] -= step * inverses[j][k - j] }
                self.weights[row * columns + j] = q
            }
        }
    }

    /// 1/2 tr(D H D^T) of each row, D the change of its weights.
    static func quadratic(_ before: [Double], _ after: [Double], rows: Int, _ hessian: [Double]) -> [Double] {
        let columns = before.count / rows
        return (0..<rows).map { row in
            let d = (0..<columns).map { after[row * columns + $0] - before[row * columns + $0] }
            var sum = 0.0
            for i in 0..<columns { for j in 0..<columns { sum += d[i] * hessian[i * columns + j] * d[j] } }
            return sum / 2
        }
    }

    /// The best weights of a row under a mask: w_k + H_kk^-1 H_kp w_p.
    static func exactRow(_ weights: [Double], kept: [Bool], _ hessian: [Double]) -> [Double] {
        let columns = weights.count
        let k = kept.indices.filter { kept[$0] }, p = kept.indices.filter { !kept[$0] }
        var result = [Double](repeating: 0, count: columns)
        guard !k.isEmpty else { return result }
        let inverse = inverse(k.map { i in k.map { hessian[i * columns + $0] } })
        let pull = k.map { i in p.reduce(0) { $0 + hessian[i * columns + $1] * weights[$1] } }
        for (place, column) in k.enumerated() {
            result[column] = weights[column] + zip(inverse[place], pull).reduce(0) { $0 + $1.0 * $1.1 }
        }
        return result
    }

    static func inverse(_ matrix: [[Double]]) -> [[Double]] {
        let order = matrix.count
        var a = matrix
        var result = (0..<order).map { i in (0..<order).map { i == $0 ? 1.0 : 0 } }
        for column in 0..<order {
            let pivot = (column..<order).max { abs(a[$0][column]) < abs(a[$1][column]) }!
            a.swapAt(column, pivot)
            result.swapAt(column, pivot)
            let scale = 1 / a[column][column]
            for k in 0..<order {
                a[column][k] *= scale
                result[column][k] *= scale
            }
            for row in 0..<order where row != column {
                let factor = a[row][column]
                for k in 0..<order {
                    a[row][k] -= factor * a[column][k]
                    result[row][k] -= factor * result[column][k]
                }
            }
        }
        return result
    }
}
