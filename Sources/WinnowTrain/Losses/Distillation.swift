import WinnowCore
import WinnowModels

/// What a student is held to beside its text: cross-entropy, the teacher's distribution, the teacher's hidden
/// states.
///
/// loss = crossEntropy * CE + divergence * T^2 KL(teacher || student) + squareHead * sum over blocks of
/// mean((s - t)^2) / (mean(t^2) + 2^-7); means are over the tokens that have targets. Logits of a family that caps
/// them (Gemma 2) are capped before they are softened, the student's and the teacher's each as its own model does.
///
/// - Source: SquareHead, arXiv 2310.06927: the published runs weigh 1, 0, 1. Block outputs are taken before
///   the final norm, the last one after it.
public struct DistillationWeights: Sendable, Equatable {
    public var crossEntropy = 1.0
    public var divergence = 0.0
    public var squareHead = 1.0
    public var temperature = 1.0

    public init() {}

    /// - Throws: ``TrainingError/badValue(key:value:expected:)``.
    public func validate() throws(TrainingError) {
        for (key, value) in [
            ("cross_entropy", crossEntropy), ("divergence", divergence), ("square_head", squareHead),
        ] where !(value >= 0 && value.isFinite) {
            throw .badValue(key: "distillation.\(key)", value: "\(value)", expected: "0 or more")
        }
        guard temperature > 0, temperature.isFinite else {
            throw .badValue(key: "distillation.temperature", value: "\(temperature)", expected: "more than 0")
        }
    }
}

/// A teacher that runs without a tape, and the losses that it makes with a student.
public final class Distillation {
    public let weights: DistillationWeights
    let teacher: DecoderTwin

    /// What the teacher holds beside the student's activations, of so many tokens: its states, and a run of logits.
    func activationBytes(tokens: Int) -> Int {
        let shape = teacher.model.configuration
        let states = weights.squareHead > 0 ? shape.layers : 1
        let block = 6 * shape.width + 4 * shape.heads * shape.headWidth + 3 * shape.feedForwardWidth
        return 4 * (tokens * (states * shape.width + block) + min(256, tokens) * shape.vocabularySize)
    }

    /// - Parameter teacher: as many blocks, of the same width and vocabulary; it shares the student's memory.
    /// - Throws: ``TrainingError`` for a teacher of another shape.
    public init(
        _ weights: DistillationWeights, teacher: LanguageModel, student: LanguageModel, on pool: KernelPool,
        memory: TapeMemory = TapeMemory()
    ) throws(TrainingError) {
        try weights.validate()
        let (a, b) = (teacher.configuration, student.configuration)
        let pairs = [
            ("vocabulary", a.vocabularySize, b.vocabularySize),
            ("blocks", weights.squareHead > 0 ? a.layers : 0, weights.squareHead > 0 ? b.layers : 0),
            ("width", weights.squareHead > 0 ? a.width : 0, weights.squareHead > 0 ? b.width : 0),
        ]
        for (name, own, wanted) in pairs where own != wanted {
            throw .badValue(key: "teacher's \(name)", value: "\(own)", expected: "the student's, \(wanted)")
        }
        self.weights = weights
        self.teacher = DecoderTwin(teacher, on: pool, memory: memory)
    }

    /// The losses of a batch, all of them roots of one backward pass.
    ///
    /// - Parameter scored: targets of all batches of a step.
    public func losses(
        _ student: DecoderTwin, _ batch: DecoderBatch, scored: Int
    ) throws(ModelError) -> [Variable] {
        let context = student.context
        let teacherRun = try runTeacher(batch)
        var states: [Variable] = []
        let hidden = try student.hidden(batch) { _, state in states.append(state) }
        let output = student.headInput(hidden)
        let head = student.headVariable
        let cap = student.model.configuration.traits.logitCap
        let counts = batch.targets.map { $0 >= 0 }
        var losses: [Variable] = []
        if weights.crossEntropy > 0 {
            losses.append(
                context.crossEntropy(
                    output, head: head,
                    LossTargets(meanOf: batch.targets, of: scored, scale: Float(weights.crossEntropy)),
                    cap: cap))
        }
        if weights.divergence > 0 {
            let each = Float(weights.divergence / Double(max(scored, 1)))
            losses.append(
                context.distillation(
                    output, head: head, teacherHidden: teacherRun.hidden,
                    teacherHead: teacher.headVariable.value,
                    temperature: Float(weights.temperature), weights: counts.map { $0 ? each : 0 },
                    cap: cap, teacherCap: teacher.model.configuration.traits.logitCap))
        }
        if weights.squareHead > 0 {
            let share = Double(batch.scored) / Double(max(scored, 1))
            for (own, theirs) in zip(states, teacherRun.states) {
                losses.append(
                    context.squareHead(
                        own, teacher: theirs, counts: counts, weight: Float(weights.squareHead * share)))
            }
        }
        return losses
    }

    private func runTeacher(_ batch: DecoderBatch) throws(ModelError) -> (hidden: Tensor, states: [Tensor]) {
        var states: [Tensor] = []
        let hidden = try teacher.context.withoutTape { () throws(ModelError) in
            try teacher.hidden(batch) { _, state in
                if weights.squareHead > 0 { states.append(state.value) }
            }
        }
        return (teacher.context.withoutTape { teacher.headInput(hidden).value }, states)
    }
}
