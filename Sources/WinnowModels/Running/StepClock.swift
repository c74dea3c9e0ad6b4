import WinnowCore

/// Where the time of a model's steps goes: seconds by block and stage. A runner that has none spends nothing on it.
///
/// Stages run one after another on all threads; what passes between two of them counts for the later one.
public final class StepClock {
    /// What a step does in a block, or outside of one.
    public enum Stage: Int, Sendable, CaseIterable {
        /// Rows of the embedding.
        case embedding
        /// Norms, inputs brought into the form that products read, residuals, the gathering of experts' rows.
        case inputs
        case queryKeyValue
        /// Rotary positions, and keys and values written to their pages.
        case positions
        case attention
        case attentionOutput
        /// Scores of experts, and with them the shared expert's gate and up.
        case router
        case gateUp
        case down
        /// The final norm and the matrix that makes logits.
        case head
    }

    /// `[blocks + 1, stages]`; the last row is what stands outside of the blocks.
    private var seconds: [Double]
    private let blocks: Int
    private let now: () -> Double
    private var last = 0.0
    /// Steps begun since ``reset()``.
    public private(set) var steps = 0

    /// - Parameter now: seconds since some moment; for tests.
    public init(blocks: Int, now: (() -> Double)? = nil) {
        self.blocks = blocks
        seconds = [Double](repeating: 0, count: (blocks + 1) * Stage.allCases.count)
        let origin = ContinuousClock.now
        self.now = now ?? { (ContinuousClock.now - origin) / .seconds(1) }
    }

    public func reset() {
        for index in seconds.indices { seconds[index] = 0 }
        steps = 0
    }

    /// Seconds of all steps since ``reset()``.
    ///
    /// - Parameter block: nil: outside of the blocks.
    public func seconds(_ stage: Stage, block: Int?) -> Double { seconds[place(stage, block)] }

    /// A step begins, or goes on after its caller had the thread: what passed until now counts nowhere.
    func start(step: Bool) {
        if step { steps += 1 }
        last = now()
    }

    /// A stage is over.
    func lap(_ stage: Stage, block: Int?) {
        let time = now()
        seconds[place(stage, block)] += time - last
        last = time
    }

    private func place(_ stage: Stage, _ block: Int?) -> Int {
        (block ?? blocks) * Stage.allCases.count + stage.rawValue
    }
}
