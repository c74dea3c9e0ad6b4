import CWinnow
import WinnowCore
import WinnowModels
import WinnowWeights

/// A method that changes a block as a whole before it works on its layers one by one.
public protocol BlockMethod: LayerMethod {
    /// - Parameter statistics: of the block as it was, at the points of its layers' inputs.
    func prepare(_ block: ScalableBlock, statistics: [TapPoint: ActivationStatistics]) throws
}

/// The places of a block where input channels can be scaled without changing what it computes.
public struct ScalableBlock {
    public let groups: [ScaledGroup]
    let form: StoredForm
    let pool: KernelPool

    /// - Parameter isParallel: whether both branches read one norm.
    package init(_ block: TransformerBlock, form: StoredForm, isParallel: Bool, on pool: KernelPool) {
        self.form = form
        self.pool = pool
        let linears = block.linears
        func consumers(_ point: TapPoint) -> [Parameter] {
            linears.filter { $0.input == point }.map(\.parameter)
        }
        var groups: [ScaledGroup] = []
        let normsStandBefore = block.normPlacement == .before && !isParallel
        if normsStandBefore, let norm = block.attentionNorm {
            groups.append(
                ScaledGroup(
                    input: .attentionInput, consumers: consumers(.attentionInput), source: .norm(norm)))
        }
        // act(gate x) * up x is linear in up: not so without a gate, or where both are rows of one matrix.
        if let feedForward = block.feedForward, let gate = feedForward.gate,
            gate.weight !== feedForward.up.weight, feedForward.up.bias == nil
        {
            groups.append(
                ScaledGroup(
                    input: .feedForwardHidden, consumers: consumers(.feedForwardHidden),
                    source: .rows(feedForward.up.weight)))
        }
        if normsStandBefore, block.feedForward != nil, let norm = block.feedForwardNorm {
            groups.append(
                ScaledGroup(
                    input: .feedForwardInput, consumers: consumers(.feedForwardInput), source: .norm(norm)))
        }
        self.groups = groups
    }
}

/// Matrices that share their inputs, and what makes those inputs.
public struct ScaledGroup {
    enum Source {
        case norm(Norm)
        /// A matrix whose outputs are the channels.
        case rows(Parameter)
    }

    /// Rows of a matrix that losses are measured on.
    static let sampledRows = 64

    public let input: TapPoint
    let consumers: [Parameter]
    let source: Source

    /// What a sample of rows loses of its outputs when weights times `scales` are rounded: the sum of d H d^T.
    func loss(_ scales: [Double], _ gram: GramMatrix, form: StoredForm, on pool: KernelPool) throws -> Double
    {
        var sum = 0.0
        for parameter in consumers {
            let matrix = parameter.matrix
            let columns = matrix.columns
            let count = min(matrix.rows, ScaledGroup.sampledRows)
            var values: [Float] = []
            values.reserveCapacity(count * columns)
            for index in 0..<count {
                let row = index * matrix.rows / count
                values += matrix.floats(rows: row..<row + 1, on: pool)
            }
            let scaled = values.indices.map { values[$0] * Float(scales[$0 % columns]) }
            let sample = try WeightMatrix(
                format: .f32, rows: count, columns: columns,
                parts: .init(values: StorageSlice(copying: scaled)),
                name: parameter.name)
            guard let grid = form.grid(of: sample, on: pool) else { continue }
            // What was pruned stays zero whatever the scales are.
            let kept = matrix.zeros(on: pool) * 20 < matrix.count ? nil : sample.nonzeros(on: pool)
            let rounded = try sample.rounded(to: grid, under: kept, on: pool, name: parameter.name).floats(
                on: pool)
            let lost = values.indices.map { index in
                let isPruned = kept != nil && values[index] == 0
                return isPruned ? 0 : Double(rounded[index]) / scales[index % columns] - Double(values[index])
            }
            // Rows that were left out count as those that were taken.
            sum += gram.quadraticForm(lost, on: pool) * Double(matrix.rows) / Double(count)
        }
        return sum
    }

    /// The largest magnitude of each column, over all matrices.
    package func columnPeaks(on pool: KernelPool) -> [Float] {
        var peaks = [Float](repeating: 0, count: consumers.first?.matrix.columns ?? 0)
        for parameter in consumers {
            let (rows, columns) = (parameter.matrix.rows, parameter.matrix.columns)
            parameter.matrix.floats(on: pool).withUnsafeBufferPointer { values in
                peaks.withUnsafeMutableBufferPointer {
                    wn_add_peaks(pool.pointer, values.baseAddress, columns, rows, columns, $0.baseAddress)
                }
            }
        }
        return peaks
    }

    /// Multiplies the consumers' columns by the scales, and divides what makes the channels.
    package func fold(_ scales: [Double], on pool: KernelPool) throws {
        for parameter in consumers {
            let columns = parameter.matrix.columns
            try parameter.rescale(on: pool) { _, column in Float(scales[column % columns]) }
        }
        switch source {
        case .norm(let norm):
            let offset = norm.offset
            norm.weight.replace(
                with: Tensor(
                    (norm.weight.vector.floats() ?? []).enumerated().map {
                        ($0.element + offset) / Float(scales[$0.offset]) - offset
                    }))
            if let bias = norm.bias {
                bias.replace(
                    with: Tensor(
                        (bias.vector.floats() ?? []).enumerated().map {
                            $0.element / Float(scales[$0.offset])
                        }))
            }
        case .rows(let parameter):
            try parameter.rescale(on: pool) { row, _ in Float(1 / scales[row]) }
        }
    }
}

extension Parameter {
    /// Multiplies each weight; what was pruned stays zero, and the result is float32.
    fileprivate func rescale(on pool: KernelPool, _ factor: (_ row: Int, _ column: Int) -> Float) throws {
        let matrix = self.matrix
        var values = matrix.floats(on: pool)
        for row in 0..<matrix.rows {
            for column in 0..<matrix.columns { values[row * matrix.columns + column] *= factor(row, column) }
        }
        replace(
            with: try WeightMatrix(
                format: .f32, rows: matrix.rows, columns: matrix.columns,
                parts: .init(values: StorageSlice(copying: values)), name: name))
    }
}
