import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowWeights

/// A layer of seeded weights with the statistics of correlated inputs, for methods that solve.
struct SolverCase {
    let rows: Int
    let columns: Int
    var weights: [Float]
    /// `[tokens, columns]`.
    var inputs: [Float]

    init(rows: Int = 8, columns: Int = 16, tokens: Int = 64, seed: UInt64) {
        var random = Random(seed: seed)
        self.rows = rows
        self.columns = columns
        weights = (0..<rows * columns).map { _ in random.normal() }
        // A few hidden causes, so that channels go together.
        let causes = max(2, columns / 3)
        let mixing = (0..<causes * columns).map { _ in random.normal() }
        inputs = []
        for _ in 0..<tokens {
            let cause = (0..<causes).map { _ in random.normal() }
            for column in 0..<columns {
                var value = 0.3 * random.normal() + 0.2
                for index in 0..<causes { value += cause[index] * mixing[index * columns + column] }
                inputs.append(value)
            }
        }
    }

    /// X^T X in float64.
    var gram: [Double] {
        var sums = [Double](repeating: 0, count: columns * columns)
        for token in 0..<inputs.count / columns {
            for i in 0..<columns {
                for j in 0..<columns {
                    sums[i * columns + j] +=
                        Double(inputs[token * columns + i]) * Double(inputs[token * columns + j])
                }
            }
        }
        return sums
    }

    /// The same with a share of its mean diagonal added.
    func damped(_ damping: Double) -> [Double] {
        var h = gram
        let mean = (0..<columns).reduce(0) { $0 + h[$1 * columns + $1] } / Double(columns)
        for index in 0..<columns { h[index * columns + index] += damping * mean }
        return h
    }

    func matrix(_ format: WeightFormat = .f32, on pool: KernelPool) throws -> WeightMatrix {
        let plain = try WeightMatrix(
            format: .f32, rows: rows, columns: columns, parts: .init(values: StorageSlice(copying: weights)),
            name: "w")
        return format == .f32 ? plain : try plain.converted(to: format, group: 32, on: pool, name: "w")
    }

    func statistics(_ request: StatisticsRequest, windowLength: Int? = nil, on pool: KernelPool)
        -> ActivationStatistics
    {
        var statistics = ActivationStatistics(width: columns, request, windowLength: windowLength)
        inputs.withUnsafeBufferPointer {
            statistics.add(
                TapValues(
                    point: .attentionInput, base: $0.baseAddress!, stride: columns,
                    tokens: inputs.count / columns, width: columns),
                on: pool)
        }
        return statistics
    }

    struct Outcome {
        var layer: LinearWeights
        var report: LayerReport
        var stored: WeightMatrix
        var pool: KernelPool
        var values: [Float] { stored.floats(on: pool) }
        var kept: [Bool] {
            layer.mask?.flags ?? [Bool](repeating: true, count: layer.matrix.count)
        }
    }

    /// - Parameter matrix: nil: the weights in float32.
    func run(
        _ method: any LayerMethod, _ matrix: WeightMatrix? = nil, store: StoredForm = .source,
        threads: Int = 2,
        input: TapPoint? = nil
    ) throws -> Outcome {
        let pool = try KernelPool(threads: threads)
        let source = try matrix ?? self.matrix(on: pool)
        var layer = LinearWeights(name: "w", matrix: source, form: store, on: pool)
        var target = LayerTarget(goal: method.goal, seed: 0, input: input)
        let report = try method.apply(
            to: &layer, target: &target, statistics: statistics(method.statistics, on: pool))
        return Outcome(layer: layer, report: report, stored: try store.store(layer) ?? source, pool: pool)
    }
}
