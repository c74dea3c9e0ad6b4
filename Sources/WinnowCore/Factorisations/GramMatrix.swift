import CWinnow

/// X^T X of the inputs that passed a point: what least-squares solvers know of a layer.
///
/// Products and sums of each run of 64 tokens are float32, runs are added in float64.
public final class GramMatrix {
    /// Channels.
    public let order: Int
    private var elements: Buffer<Double>
    /// The factor made last, and for what.
    private var latest: (damping: Double, factor: InverseFactor)?

    public init(order: Int) {
        self.order = order
        elements = Buffer(count: order * order)
    }

    /// A given matrix, `[order, order]`, of which the lower triangle is read.
    public convenience init(order: Int, values: [Double]) {
        precondition(values.count == order * order, "\(values.count) values for [\(order), \(order)]")
        self.init(order: order)
        elements.withMutableElements { _ = $0.update(from: values) }
    }

    /// Adds x x^T of each token.
    package func add(_ x: UnsafePointer<Float>, stride: Int, tokens: Int, on pool: KernelPool) {
        latest = nil
        wn_gram_add(pool.pointer, x, stride, tokens, order, elements.base)
    }

    public subscript(row: Int, column: Int) -> Double {
        precondition(
            row >= 0 && row < order && column >= 0 && column < order, "[\(row), \(column)] of \(order)")
        return elements.base[max(row, column) * order + min(row, column)]
    }

    /// Sums of squares of the channels.
    public var diagonal: [Double] { (0..<order).map { elements.base[$0 * order + $0] } }

    /// The sum of d H d^T over rows d.
    ///
    /// - Parameter rows: `[count, order]`.
    public func quadraticForm(_ rows: [Double], on pool: KernelPool) -> Double {
        precondition(rows.count % order == 0, "\(rows.count) values in rows of \(order)")
        wn_mirror_lower(elements.base, order)
        let products = Buffer<Double>(count: rows.count)
        rows.withUnsafeBufferPointer { rows in
            var product = wn_gemm()
            product.a = rows.baseAddress
            product.a_row = order
            product.a_depth = 1
            product.b = UnsafePointer(elements.base)
            product.b_depth = order
            product.b_column = 1
            product.c = products.base
            product.c_stride = order
            product.rows = rows.count / order
            product.columns = order
            product.depth = order
            product.sign = 1
            wn_gemm_run(pool.pointer, &product)
        }
        var sum = 0.0
        for index in rows.indices { sum += rows[index] * products.base[index] }
        return sum
    }

    /// The factor of the inverse, of H + damping * mean(diagonal of H); kept for the next layer that asks for it.
    ///
    /// A channel that never spoke gets the mean of the others on the diagonal, so that scaling all inputs changes
    /// nothing (reference code: 1). When H is singular all the same, damping is raised tenfold, three times at most;
    /// damping 0 is what it says.
    ///
    /// - Throws: ``FactorisationError`` when that does not help.
    public func inverseFactor(damping: Double, on pool: KernelPool) throws(FactorisationError)
        -> InverseFactor
    {
        if let latest, latest.damping == damping { return latest.factor }
        latest = nil
        let factor = try makeFactor(damping: damping, order: nil, on: pool)
        latest = (damping, factor)
        return factor
    }

    /// The same with channels in another order: element i of the factor is channel `channels[i]`.
    public func inverseFactor(
        damping: Double, channels: [Int], on pool: KernelPool
    ) throws(FactorisationError) -> InverseFactor {
        try makeFactor(damping: damping, order: channels, on: pool)
    }

    private func makeFactor(
        damping: Double, order channels: [Int]?, on pool: KernelPool
    ) throws(FactorisationError) -> InverseFactor {
        let diagonal = diagonal
        let dead = (0..<order).filter { diagonal[channels?[$0] ?? $0] == 0 }
        let live = order - dead.count
        let mean = live > 0 ? diagonal.reduce(0, +) / Double(live) : 1
        var raised = damping
        while true {
            let matrix = Buffer<Double>(count: order * order)
            copy(into: matrix.base, channels)
            for index in dead { matrix.base[index * order + index] = mean }
            for index in 0..<order { matrix.base[index * order + index] += raised * mean }
            do throws(FactorisationError) {
                let factor = try InverseFactor(
                    consuming: matrix, order: order, damping: raised, dead: dead, on: pool)
                // What rounding leaves of a channel that is made up of others is no pivot.
                for index in 0..<order {
                    let own = diagonal[channels?[index] ?? index] + raised * mean
                    let pivot = 1 / (factor[index, index] * factor[index, index])
                    guard own == 0 || pivot > own * 1e-12 else {
                        throw .notPositiveDefinite(pivot: index, value: pivot)
                    }
                }
                return factor
            } catch {
                guard damping > 0, raised < damping * 500 else {
                    guard case .notPositiveDefinite(let pivot, let value) = error, let channels else {
                        throw error
                    }
                    throw .notPositiveDefinite(pivot: channels[pivot], value: value)
                }
                raised *= 10
            }
        }
    }

    private func copy(into target: UnsafeMutablePointer<Double>, _ channels: [Int]?) {
        guard let channels else { return target.update(from: elements.base, count: order * order) }
        precondition(channels.count == order, "\(channels.count) channels of \(order)")
        for row in 0..<order {
            for column in 0...row {
                let (a, b) = (channels[row], channels[column])
                target[row * order + column] = elements.base[max(a, b) * order + min(a, b)]
            }
        }
    }

    package static func byteCount(order: Int) -> Int { order * order * MemoryLayout<Double>.stride }
}
