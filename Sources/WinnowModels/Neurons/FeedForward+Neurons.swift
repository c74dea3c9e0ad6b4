import WinnowCore
import WinnowIO
import WinnowWeights

extension FeedForward {
    /// The network with some of its neurons, in rising order: rows of gate and up, columns of down.
    ///
    /// Where the columns come in blocks, the last block is filled up with neurons whose column of down is zero.
    ///
    /// - Throws: ``WeightError`` for a matrix that holds values that are not finite.
    func keeping(_ set: NeuronSet, on pool: KernelPool) throws -> FeedForward {
        let matrix = down.weight.matrix
        precondition(set.width == matrix.columns, "neurons of \(set.width) for \(matrix.columns) columns")
        let smaller = try matrix.selectingNeurons(set.indices, on: pool, name: down.weight.name)
        let rows = set.indices + set.others.prefix(smaller.columns - set.count)
        return FeedForward(
            gate: try gate?.selecting(rows), up: try up.selecting(rows),
            down: Linear(Parameter(name: down.weight.name, value: .matrix(smaller)), bias: down.bias),
            activation: activation)
    }

    /// Bytes that a share of its neurons takes at most: what a memory plan counts before they are chosen.
    public func packedBytes(share: Double) -> Int {
        guard share < 1 else { return 0 }
        let columns = down.weight.matrix
        let bits = columns.format.isFloat ? columns.format.codeBits : 9
        let rows = byteCount - columns.byteCount
        return Int(share * Double(rows + columns.count * bits / 8)) + 64 * columns.rows
    }

    /// Bytes of the matrices.
    var byteCount: Int {
        func bytes(_ linear: Linear) -> Int {
            linear.weight.matrix.byteCount / linear.weight.matrix.rows * linear.outputs
        }
        return (gate.map(bytes) ?? 0) + bytes(up) + bytes(down)
    }
}

extension NeuronSet {
    /// Neurons that are not in the set, rising.
    fileprivate var others: some Sequence<Int> {
        let own = Set(indices)
        return (0..<width).lazy.filter { !own.contains($0) }
    }
}

extension Linear {
    /// Some of the outputs, from rows that are copied as they are stored.
    fileprivate func selecting(_ outputs: [Int]) throws -> Linear {
        let first = rows?.lowerBound ?? 0
        let order = outputs.map { first + $0 }
        let matrix = try weight.matrix.selectingRows(order)
        let values = bias.map { $0.vector.floats() ?? [] }
        return Linear(
            Parameter(name: weight.name, value: .matrix(matrix)),
            bias: values.map { values in
                Parameter(name: bias?.name ?? "", value: .vector(Tensor(order.map { values[$0] })))
            })
    }
}

extension WeightMatrix {
    /// Columns in the matrix's own format where it allows, else in Q8_0, followed by as many of zeros as whole blocks
    /// take; at least one column.
    fileprivate func selectingNeurons(_ kept: [Int], on pool: KernelPool, name: String) throws -> WeightMatrix
    {
        if kept.count == columns { return self }
        let isExact = !format.isMasked && (format.isFloat || format.scales == .row)
        if isExact, !kept.isEmpty { return try selectingColumns(kept, on: pool) }
        let dense: WeightFormat = format.isFloat || format.scales == .row ? format.dense : .q8_0
        let step = dense.blockWidth
        let width = max((kept.count + step - 1) / step, 1) * step
        let columns = try selectingColumns(kept, zeros: width - kept.count, on: pool)
        guard format.isMasked, let masked = dense.masked else {
            return try columns.converted(to: dense, on: pool, name: name)
        }
        return try columns.maskingZeros(in: masked, group: 0, on: pool, name: name)
    }
}
