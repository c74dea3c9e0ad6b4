import WinnowCore

/// Measures products of weight formats, shapes and instruction sets against the roofs of this machine.
///
/// Weights are random and stand in memory many times over (``workingSet``), so that decoding finds none of them in a
/// cache. The roofs are sampled between repetitions on the same threads: the bandwidth of reading a buffer as large, and
/// the arithmetic of the same instruction set.
public struct KernelBenchmark: Sendable {
    /// A weight matrix's shape.
    public struct Shape: Sendable, Equatable, CustomStringConvertible {
        /// Outputs and inputs of the product.
        public var rows: Int
        public var columns: Int

        public init(rows: Int, columns: Int) {
            self.rows = rows
            self.columns = columns
        }

        /// `rows` x `columns`, as in `4096x2048`; nil for anything else.
        public init?(_ text: some StringProtocol) {
            let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
            guard parts.count == 2, parts.allSatisfy((1...1 << 20).contains) else { return nil }
            self.init(rows: parts[0], columns: parts[1])
        }

        public var description: String { "\(rows)x\(columns)" }
    }

    public var formats: [WeightFormat]
    public var shapes: [Shape]
    /// Rows of the input: 1 is decoding, many are prefill.
    public var tokens: [Int] = [1, 512]
    public var instructionSets: [InstructionSet]
    /// Counted repetitions, after one that is not.
    public var repetitions = 3
    /// Share of zeros in masked formats.
    public var sparsity = 0.5
    /// Bytes that the copies of a matrix, and the buffer of the memory roof, take each.
    public var workingSet: Int
    public var activations = ActivationMode.fast
    /// About how long a repetition of one product takes.
    public var seconds = 0.02
    public var seed: UInt64 = 0

    public init(
        formats: [WeightFormat], shapes: [Shape], instructionSets: [InstructionSet], workingSet: Int
    ) {
        self.formats = formats
        self.shapes = shapes
        self.instructionSets = instructionSets
        self.workingSet = workingSet
    }

    /// One product's figures: medians over the repetitions.
    public struct Row: Sendable, Equatable {
        public var format: WeightFormat
        public var shape: Shape
        public var tokens: Int
        public var instructionSet: InstructionSet
        /// Of a product over all rows of the shape.
        public var seconds: Double
        public var cost: ProductCost
        /// Sampled beside it.
        public var roofline: Roofline
        /// Medians of the shares of each repetition's own roofs.
        public var standing: Roofline.Standing
        public var bitsPerWeight: Double
    }

    public struct Result: Sendable {
        public var rows: [Row] = []
        /// Medians of all samples: bytes per second, and operations per second by instruction set.
        public var bandwidth = 0.0
        public var peaks: [(set: InstructionSet, arithmetic: ArithmeticPeak, operationsPerSecond: Double)] =
            []
    }

    /// Whether a format's blocks fit a shape.
    public static func fits(_ format: WeightFormat, _ shape: Shape) -> Bool {
        format.canEncode && shape.columns % format.blockWidth == 0
    }

    /// What a run holds: the copies, the buffer of the roof, and inputs and outputs of the largest product.
    public var memoryPlan: MemoryPlan {
        let largest = shapes.map { $0.rows * $0.columns }.max() ?? 0
        let width = shapes.map { $0.rows + 2 * $0.columns }.max() ?? 0
        var plan = MemoryPlan()
        plan.add("copies of a matrix", bytes: workingSet + 2 * 4 * largest)
        plan.add("the buffer of the memory roof", bytes: workingSet)
        plan.add("inputs and outputs", bytes: 4 * width * (tokens.max() ?? 0))
        return plan
    }

    /// - Parameter progress: called with the matrices done and their number.
    /// - Throws: ``WeightError`` for a format that cannot be made, or ``KernelPoolError``.
    public func run(
        on pool: KernelPool, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws -> Result {
        let memory = MemoryBandwidth(bytes: workingSet)
        var result = Result()
        var roofs: [Double] = []
        var peaks: [[Double]] = Array(
            repeating: [], count: instructionSets.count * ArithmeticPeak.allCases.count)
        var random = Random(seed: seed)
        let cells = shapes.flatMap { shape in formats.map { ($0, shape) } }
        for (index, (format, shape)) in cells.enumerated() {
            progress(index, cells.count)
            let matrix = try WeightMatrix.random(
                rows: shape.rows, columns: shape.columns, format: format, sparsity: sparsity, using: &random)
            let timer = try ProductTimer(matrix, workingSet: workingSet, mode: activations, on: pool)
            var samples: [[Sample]] = Array(repeating: [], count: tokens.count * instructionSets.count)
            for repetition in 0...repetitions {
                for (place, count) in tokens.enumerated() {
                    let before = memory.sample(on: pool)
                    var own: [(slot: Int, seconds: Double, peak: Double)] = []
                    for (number, set) in instructionSets.enumerated() {
                        let cost = ProductCost(matrix, tokens: count, mode: activations)
                        let sample = set.run { () -> Swift.Result<(Double, Double), any Error> in
                            Swift.Result { try measure(timer, tokens: count, cost.arithmetic, on: pool) }
                        }
                        guard let (seconds, peak) = try sample?.get() else { continue }
                        own.append((place * instructionSets.count + number, seconds, peak))
                        let kind = ArithmeticPeak.allCases.firstIndex(of: cost.arithmetic) ?? 0
                        peaks[number * ArithmeticPeak.allCases.count + kind].append(peak)
                    }
                    let bandwidth = (before + memory.sample(on: pool)) / 2
                    // The first repetition warms pages and is not counted.
                    guard repetition > 0 else { continue }
                    roofs.append(bandwidth)
                    for (slot, seconds, peak) in own {
                        samples[slot].append(
                            Sample(seconds: seconds, roofline: Roofline(bandwidth: bandwidth, peak: peak)))
                    }
                }
            }
            for (place, count) in tokens.enumerated() {
                for (number, set) in instructionSets.enumerated() {
                    let own = samples[place * instructionSets.count + number]
                    guard !own.isEmpty else { continue }
                    let cost = ProductCost(matrix, tokens: count, mode: activations)
                    result.rows.append(
                        Row(
                            format: format, shape: shape, tokens: count, instructionSet: set,
                            seconds: median(own.map(\.seconds)), cost: cost,
                            roofline: Roofline(
                                bandwidth: median(own.map(\.roofline.bandwidth)),
                                peak: median(own.map(\.roofline.peak))),
                            standing: Sample.standing(own, cost), bitsPerWeight: matrix.bitsPerWeight))
                }
            }
        }
        progress(cells.count, cells.count)
        result.bandwidth = median(roofs)
        for (number, set) in instructionSets.enumerated() {
            for (kind, arithmetic) in ArithmeticPeak.allCases.enumerated() {
                var own = peaks[number * ArithmeticPeak.allCases.count + kind]
                // What no product here uses is sampled for itself.
                while own.count < 3, let peak = set.run({ arithmetic.sample(on: pool) }) ?? nil {
                    own.append(peak)
                }
                if !own.isEmpty { result.peaks.append((set, arithmetic, median(own))) }
            }
        }
        return result
    }

    /// Seconds of a product over all rows, and the arithmetic roof around it.
    ///
    /// Many tokens run over as many of the first rows as fill the time: a set without wide vectors takes seconds for all
    /// of them. Few run over all, each product over another copy.
    private func measure(
        _ timer: ProductTimer, tokens: Int, _ arithmetic: ArithmeticPeak, on pool: KernelPool
    ) throws -> (seconds: Double, peak: Double) {
        let all = timer.matrix.rows
        let before = arithmetic.sample(on: pool, seconds: seconds / 8) ?? 0
        var rows = all
        let least = min(all, 32 * pool.threads)
        if tokens > 16, least < all {
            let probe = try timer.sample(tokens: tokens, rows: least, seconds: 0, on: pool)
            let wanted = Int(seconds / max(probe, 1e-9)) * least
            rows = min(max(wanted, least), all)
        }
        let taken = try timer.sample(tokens: tokens, rows: rows, seconds: seconds, on: pool)
        let after = arithmetic.sample(on: pool, seconds: seconds / 8) ?? 0
        return (taken * Double(all) / Double(rows), (before + after) / 2)
    }
}

/// One repetition of one product.
private struct Sample {
    let seconds: Double
    let roofline: Roofline

    static func standing(_ samples: [Sample], _ cost: ProductCost) -> Roofline.Standing {
        let standings = samples.map {
            $0.roofline.standing(bytes: cost.bytes, operations: cost.operations, seconds: $0.seconds)
        }
        return Roofline.Standing(
            memoryShare: median(standings.map(\.memoryShare)),
            arithmeticShare: median(standings.map(\.arithmeticShare)))
    }
}

/// The middle of the values, or the mean of the two middle ones; 0 of none.
func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
