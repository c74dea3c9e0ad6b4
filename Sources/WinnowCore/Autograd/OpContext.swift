import CWinnow

/// What ops run with: the threads, the tape's memory, the kernels' workspaces. Belongs to one thread.
public final class OpContext {
    public let pool: KernelPool
    public let memory: TapeMemory
    /// Of matrix products; attention, norms, gates and losses are float32.
    public var precision = ProductPrecision.float32
    /// Whether ops leave nodes behind; without, nothing is kept for a backward pass.
    package private(set) var isRecording = true
    private var number = 0
    private var gemmWorkspace: Buffer<UInt8>
    private var attentionWorkspace = Buffer<UInt8>(count: 0)

    public init(_ pool: KernelPool, memory: TapeMemory = TapeMemory()) {
        self.pool = pool
        self.memory = memory
        gemmWorkspace = Buffer(count: wn_gemm_workspace(pool.pointer))
    }

    /// Runs ops that leave no nodes: evaluation, a teacher.
    public func withoutTape<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let before = isRecording
        isRecording = false
        defer { isRecording = before }
        return try body()
    }

    package func withTape<Result>(_ body: () throws -> Result) rethrows -> Result {
        let before = isRecording
        isRecording = true
        defer { isRecording = before }
        return try body()
    }

    func nextNumber() -> Int {
        number += 1
        return number
    }

    // MARK: What ops are made of

    package func block(_ count: Int) -> FloatBlock { FloatBlock(count: count, in: memory) }

    /// Whether an op over these inputs leaves a node.
    package func records(_ inputs: [Variable?]) -> Bool {
        isRecording && inputs.contains { $0?.asksGradient ?? false }
    }

    /// The output of an op, with its node where one was made.
    package func output(_ block: FloatBlock, _ shape: [Int], _ node: TapeNode?) -> Variable {
        Variable(block.freeze(shape), made: node)
    }

    /// out = a b, or out += a b; see `wn_gemm_f32` and `wn_gemm_bf16`.
    package func multiply(
        _ a: wn_view, _ b: wn_view, rows: Int, columns: Int, depth: Int,
        into out: UnsafeMutablePointer<Float>,
        stride: Int, adding: Bool
    ) {
        let product = precision == .float32 ? wn_gemm_f32 : wn_gemm_bf16
        gemmWorkspace.withMutableElements { workspace in
            product(pool.pointer, workspace.baseAddress, rows, columns, depth, a, b, out, stride, adding)
        }
    }

    package func add(
        _ x: UnsafePointer<Float>, scale: Float = 1, to into: UnsafeMutablePointer<Float>, count: Int
    ) {
        wn_add_to(pool.pointer, x, scale, into, count)
    }

    func withAttentionWorkspace(headWidth: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
        let bytes = wn_attention_workspace(pool.pointer, headWidth)
        if attentionWorkspace.count < bytes { attentionWorkspace = Buffer(count: bytes) }
        attentionWorkspace.withMutableElements { body(UnsafeMutableRawPointer($0.baseAddress!)) }
    }
}

/// Rows of a matrix, `[rows, columns]` without gaps, as products read them.
package func view(_ base: UnsafePointer<Float>, columns: Int) -> wn_view {
    wn_view(data: base, row_stride: columns, column_stride: 1)
}

/// The transpose of such rows.
package func transposed(_ base: UnsafePointer<Float>, columns: Int) -> wn_view {
    wn_view(data: base, row_stride: 1, column_stride: columns)
}
