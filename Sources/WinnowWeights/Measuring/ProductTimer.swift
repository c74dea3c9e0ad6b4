import WinnowCore

/// Times products of one matrix that stands in memory many times over, so that each finds its weights where a model as
/// large would have them: in memory, not in a cache that the last product filled.
public final class ProductTimer {
    public let matrix: WeightMatrix
    /// Bytes of all copies together.
    public let workingSet: Int
    public let mode: ActivationMode
    private let copies: [WeightMatrix]
    private var next = 0
    /// The inputs of the last sample, kept for the next one like it.
    private var run: ProductRun?

    /// - Parameter workingSet: copies are made until they hold this many bytes, at least one.
    /// - Throws: ``WeightError``.
    public init(_ matrix: WeightMatrix, workingSet: Int, mode: ActivationMode, on pool: KernelPool) throws {
        self.matrix = matrix
        self.mode = mode
        let count = max(1, (workingSet + matrix.byteCount - 1) / matrix.byteCount)
        var copies: [WeightMatrix?] = [matrix] + Array(repeating: nil, count: count - 1)
        // Pages are made by the thread that first writes them: as many at once as there are threads.
        try copies.withUnsafeMutableBufferPointer { slots in
            let slots = CopySlots(base: slots.baseAddress!)
            pool.run(chunks: count - 1) { chunk, _ in slots.base[chunk + 1] = try? matrix.copied() }
            for index in 0..<count where slots.base[index] == nil { slots.base[index] = try matrix.copied() }
        }
        self.copies = copies.compactMap(\.self)
        self.workingSet = matrix.byteCount * count
    }

    /// Seconds that a product takes, the mean over as many as fill `seconds`, each over another copy.
    ///
    /// - Parameter tokens: rows of the input.
    /// - Parameter rows: of the matrix that run, the first ones; nil: all.
    /// - Parameter seconds: stops after that, but not before one product.
    public func sample(tokens: Int, rows: Int? = nil, seconds: Double, on pool: KernelPool) throws -> Double {
        let rows = min(rows ?? matrix.rows, matrix.rows)
        let run: ProductRun
        if let last = self.run, last.tokens == tokens, last.rows == rows {
            run = last
        } else {
            run = try ProductRun(matrix, tokens: tokens, rows: rows, mode: mode, on: pool)
            self.run = run
        }
        let clock = ContinuousClock()
        let start = clock.now
        var done = 0
        var elapsed = 0.0
        repeat {
            run.run(copies[next], on: pool)
            next = (next + 1) % copies.count
            done += 1
            elapsed = (clock.now - start) / .seconds(1)
        } while elapsed < seconds
        return elapsed / Double(done)
    }
}

private struct CopySlots: @unchecked Sendable {
    let base: UnsafeMutablePointer<WeightMatrix?>
}

/// Inputs and outputs of a product in memory of their own.
private final class ProductRun {
    private let workspace = Workspace()
    private let input: PreparedInput
    private let output: UnsafeMutablePointer<Float>
    let tokens: Int
    let rows: Int

    init(_ matrix: WeightMatrix, tokens: Int, rows: Int, mode: ActivationMode, on pool: KernelPool) throws {
        self.tokens = tokens
        self.rows = rows
        let values = workspace.reserve(floats: tokens * matrix.columns)
        let results = workspace.reserve(floats: tokens * rows)
        let plan = PreparedInput.Plan(
            kind: matrix.inputKind(mode), columns: matrix.columns, capacity: tokens, in: workspace)
        workspace.commit()
        input = PreparedInput(plan, in: workspace)
        output = workspace.floats(results)
        var random = Random(seed: 1)
        let x = workspace.floats(values)
        for index in 0..<tokens * matrix.columns { x[index] = random.uniform() - 0.5 }
        input.fill(x, stride: matrix.columns, tokens: tokens, on: pool)
        var group = ProductGroup()
        group.add(matrix, input: input, output: output, stride: rows, rows: 0..<rows)
        try pool.reserve(scratch: group.scratchBytes)
    }

    func run(_ matrix: WeightMatrix, on pool: KernelPool) {
        var group = ProductGroup()
        group.add(matrix, input: input, output: output, stride: rows, rows: 0..<rows)
        group.run(on: pool)
    }
}
