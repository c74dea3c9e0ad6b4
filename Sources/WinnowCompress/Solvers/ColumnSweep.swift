import CWinnow
import WinnowCore
import WinnowWeights

/// Takes the columns of a layer in order: prunes and rounds each, and lets the columns after it make up for the error.
///
/// With H = X^T X and H^-1 = U^T U (U upper), column j loses e = (w - q) / U[j, j] and the others get
/// w[k] -= e U[j, k]: what a least-squares fit of the outputs gives for one column at a time. Columns come in blocks,
/// so that all but a block's own columns are updated by one product.
///
/// - Source: SparseGPT, arXiv 2301.00774, algorithm 1; GPTQ, arXiv 2210.17323.
/// - Departure: float64 throughout; counts are exact; what was pruned before stays pruned and counts.
package struct ColumnSweep {
    package enum Selection {
        /// Only what is pruned already.
        case given
        /// This share, chosen among all rows of a block when the sweep reaches it; `unit` weights of a row go together.
        case share(Double, unit: Int = 1)
        case nOfM(n: Int, m: Int)
    }

    package struct Result {
        /// What is kept; nil when nothing was pruned.
        package var mask: SparsityMask?
        /// float32, or the grid's own format.
        package var matrix: WeightMatrix
        /// Half the sum of e^2 over all rows: by how much 1/2 tr(D H D^T) rose, with the damped H.
        package var loss: Double
    }

    let name: String
    let matrix: WeightMatrix
    /// What was pruned before.
    let mask: SparsityMask?
    let blockSize: Int
    let pool: KernelPool
    /// The order in which columns are taken; nil: as they stand.
    let order: [Int]?
    /// Shown the weights before they are rounded to float32, `[columns, stride]`.
    package var inspect: ((UnsafePointer<Double>, _ stride: Int) -> Void)?

    package init(
        name: String, matrix: WeightMatrix, mask: SparsityMask? = nil, blockSize: Int = 128, pool: KernelPool,
        order: [Int]? = nil
    ) {
        self.name = name
        self.matrix = matrix
        self.mask = mask
        self.blockSize = blockSize
        self.pool = pool
        self.order = order
    }

    /// - Parameter factor: nil: no column makes up for another.
    /// - Parameter grid: what weights that stay are rounded to; nil: they keep their values.
    /// - Throws: ``SelectionError`` and ``PruningError/resultNotFinite(layer:)`` for weights or statistics that are not
    ///   finite, `WeightError`.
    package func run(_ factor: InverseFactor?, _ selection: Selection, grid: QuantGrid? = nil) throws
        -> Result
    {
        let (rows, columns) = (matrix.rows, matrix.columns)
        precondition(factor.map { $0.order == columns } ?? true, "\(name): a factor for \(columns) columns")
        let stride = QuantGrid.stride(rows: rows)
        let block = self.block(selection, grid)
        let weights = Buffer<Double>(count: columns * stride)
        let pruned = Buffer<UInt8>(count: columns * stride)
        let errors = Buffer<Double>(count: min(block, columns) * stride)
        let losses = Buffer<Double>(count: stride)
        let codes = Buffer<Int8>(count: grid == nil ? 0 : columns * stride)
        var scales = grid?.scales ?? []
        let groups = grid.flatMap { grid in order.map { $0.map { UInt32($0 / grid.group) } } } ?? []
        load(into: weights.base, pruned.base, stride)
        for column in factor?.dead ?? [] {
            for row in 0..<rows {
                weights.base[column * stride + row] = 0
                pruned.base[column * stride + row] = 1
            }
        }
        let norms = factor?.diagonal.map { 1 / $0 } ?? [Double](repeating: 1, count: columns)

        try scales.withUnsafeMutableBufferPointer { scales in
            try (grid?.offsets ?? []).withUnsafeBufferPointer { offsets in
                try groups.withUnsafeBufferPointer { groups in
                    var codeGrid = wn_code_grid()
                    if let grid {
                        codeGrid = wn_code_grid(
                            scales: scales.baseAddress, offsets: offsets.isEmpty ? nil : offsets.baseAddress,
                            codes: codes.base, group: grid.group,
                            groups: groups.isEmpty ? nil : groups.baseAddress,
                            low: Int32(grid.codes.lowerBound),
                            high: Int32(grid.codes.upperBound), finds: grid.findsScales)
                    }
                    for first in Swift.stride(from: 0, to: columns, by: block) {
                        let count = min(block, columns - first)
                        if case .share(let share, let unit) = selection {
                            try choose(
                                share, unit, first..<first + count, weights.base, pruned.base, stride, norms)
                        }
                        withUnsafePointer(to: &codeGrid) { codeGrid in
                            var sweep = wn_sweep()
                            sweep.weights = weights.base
                            sweep.stride = stride
                            sweep.rows = stride
                            sweep.first = first
                            sweep.count = count
                            sweep.factor = factor?.base
                            sweep.factor_stride = columns
                            sweep.pruned = pruned.base
                            if case .nOfM(let n, let m) = selection {
                                sweep.keep = n
                                sweep.of = m
                            }
                            sweep.grid = grid == nil ? nil : codeGrid
                            sweep.errors = errors.base
                            sweep.losses = losses.base
                            wn_sweep_block(pool.pointer, &sweep)
                        }
                        if let factor {
                            pushOn(first..<first + count, factor, weights.base, errors.base, stride)
                        }
                    }
                }
            }
        }
        let loss = losses.withElements { $0.reduce(0, +) } / 2
        guard loss.isFinite else { throw PruningError.resultNotFinite(layer: name) }
        inspect?(UnsafePointer(weights.base), stride)
        let kept = keptMask(pruned.base, stride)
        if var grid {
            grid.scales = scales
            if order != nil { unorder(codes.base, stride) }
            return Result(
                mask: kept, matrix: try grid.matrix(codes: codes.base, on: pool, name: name), loss: loss)
        }
        return Result(mask: kept, matrix: try floats(weights.base, stride), loss: loss)
    }

    /// Columns of a block: no group of an N:M pattern is cut, and none of a grid where both fit the largest block. The
    /// scale of a group that is cut is found on its first part.
    private func block(_ selection: Selection, _ grid: QuantGrid?) -> Int {
        let largest = 256
        var multiple = 1
        if case .nOfM(_, let m) = selection { multiple = m }
        if case .share(_, let unit) = selection { multiple = unit }
        if let grid, grid.findsScales {
            let both = (1...largest).first { $0 * multiple % grid.group == 0 }! * multiple
            if both <= largest { multiple = both }
        }
        return max(min(blockSize, largest) / multiple, 1) * multiple
    }

    private func load(
        into weights: UnsafeMutablePointer<Double>, _ pruned: UnsafeMutablePointer<UInt8>, _ stride: Int
    ) {
        let columns = matrix.columns
        eachRow { row, values in
            matrix.row(row, into: values)
            if let order {
                for (place, column) in order.enumerated() {
                    weights[place * stride + row] = Double(values[column])
                }
                guard let mask else { return }
                for (place, column) in order.enumerated() where !mask[row, column] {
                    pruned[place * stride + row] = 1
                }
            } else {
                wn_scatter_f64(values, columns, weights + row, stride)
                if let mask { wn_mark_pruned(mask.row(row), columns, pruned + row, stride) }
            }
        }
    }

    /// Prunes so many of a block's weights that the matrix up to here has its share.
    private func choose(
        _ share: Double, _ unit: Int, _ block: Range<Int>, _ weights: UnsafeMutablePointer<Double>,
        _ pruned: UnsafeMutablePointer<UInt8>, _ stride: Int, _ norms: [Double]
    ) throws {
        let rows = matrix.rows
        func goal(_ columns: Int) -> Int { Int((Double(rows * columns / unit) * share).rounded()) }
        var before = 0
        for first in Swift.stride(from: block.lowerBound, to: block.upperBound, by: unit) {
            for row in 0..<rows {
                before += (first..<first + unit).allSatisfy { pruned[$0 * stride + row] == 1 } ? 1 : 0
            }
        }
        let wanted = max(goal(block.upperBound) - goal(block.lowerBound), before)
        let first = block.lowerBound * stride
        let scores = ScoredRows(name: name, rows: rows, columns: block.count) { row, values in
            norms.withUnsafeBufferPointer {
                wn_sweep_scores(
                    weights + first + row, pruned + first + row, stride, block.count,
                    $0.baseAddress! + block.lowerBound, values)
            }
        }
        let mask = try MaskSelector(on: pool).mask(scores.blocks(of: unit), pruning: wanted).spread(by: unit)
        for row in 0..<rows { wn_mark_pruned(mask.row(row), block.count, pruned + first + row, stride) }
    }

    /// The columns after a block give way for all its errors at once.
    private func pushOn(
        _ block: Range<Int>, _ factor: InverseFactor, _ weights: UnsafeMutablePointer<Double>,
        _ errors: UnsafeMutablePointer<Double>, _ stride: Int
    ) {
        let columns = matrix.columns
        var product = wn_gemm()
        product.a = factor.base + block.lowerBound * columns + block.upperBound
        product.a_row = 1
        product.a_depth = columns
        product.b = UnsafePointer(errors)
        product.b_depth = stride
        product.b_column = 1
        product.c = weights + block.upperBound * stride
        product.c_stride = stride
        product.rows = columns - block.upperBound
        product.columns = stride
        product.depth = block.count
        product.sign = -1
        wn_gemm_run(pool.pointer, &product)
    }

    // MARK: What comes out

    private func keptMask(_ pruned: UnsafeMutablePointer<UInt8>, _ stride: Int) -> SparsityMask? {
        let columns = matrix.columns
        let rowBytes = WeightMatrix.maskStride(columns: columns)
        let bits = Buffer<UInt8>(count: matrix.rows * rowBytes)
        let out = bits.base
        let places = order.map { order in
            var places = [Int](repeating: 0, count: columns)
            for (place, column) in order.enumerated() { places[column] = place }
            return places
        }
        eachRow { row, _ in
            guard let places else {
                return wn_mask_of_pruned(pruned + row, stride, columns, out + row * rowBytes)
            }
            for column in 0..<columns where pruned[places[column] * stride + row] == 0 {
                out[row * rowBytes + column / 8] |= 1 << UInt8(column % 8)
            }
        }
        let mask = SparsityMask(rows: matrix.rows, columns: columns, bytes: StorageSlice(bits.freeze()))
        return mask.prunedCount == 0 ? nil : mask
    }

    private func floats(_ weights: UnsafeMutablePointer<Double>, _ stride: Int) throws(WeightError)
        -> WeightMatrix
    {
        let columns = matrix.columns
        let values = Buffer<Float>(count: matrix.count)
        let out = values.base
        eachRow { row, _ in
            if let order {
                for (place, column) in order.enumerated() {
                    out[row * columns + column] = Float(weights[place * stride + row])
                }
            } else {
                wn_gather_f64(weights + row, stride, columns, out + row * columns)
            }
        }
        return try WeightMatrix(
            format: .f32, rows: matrix.rows, columns: columns,
            parts: .init(values: StorageSlice(values.freeze())),
            name: name)
    }

    /// Codes back in the order of columns.
    private func unorder(_ codes: UnsafeMutablePointer<Int8>, _ stride: Int) {
        guard let order else { return }
        let copy = Buffer<Int8>(count: order.count * stride)
        copy.base.update(from: codes, count: order.count * stride)
        for (place, column) in order.enumerated() {
            (codes + column * stride).update(from: copy.base + place * stride, count: stride)
        }
    }

    /// Calls `body` for every row with room for its weights, rows spread over the pool.
    private func eachRow(_ body: (_ row: Int, _ values: UnsafeMutablePointer<Float>) -> Void) {
        // Whole lines of the transposed weights: two workers never write into one.
        let rowsAtOnce = max(8, (1 << 16 / matrix.columns + 7) / 8 * 8)
        let (rows, columns) = (matrix.rows, matrix.columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
                for row in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                    body(row, values.baseAddress!)
                }
            }
        }
    }

    /// Bytes that a sweep holds beside the layer and the factor.
    static func workingBytes(rows: Int, columns: Int, blockSize: Int = 128) -> Int {
        let stride = QuantGrid.stride(rows: rows)
        // Weights, marks and codes; a block's errors.
        return columns * stride * (8 + 1 + 1) + blockSize * stride * 8
    }
}

extension WeightMatrix {
    /// Each weight as its nearest code, without regard to the others.
    func rounded(
        to grid: QuantGrid, under mask: SparsityMask?, on pool: KernelPool, name: String
    ) throws -> WeightMatrix {
        try ColumnSweep(name: name, matrix: self, mask: mask, pool: pool).run(nil, .given, grid: grid).matrix
    }
}
