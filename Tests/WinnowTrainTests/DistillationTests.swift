import Foundation
import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTrain
import WinnowWeights

@Suite struct DistillationTests {
    /// A student like its teacher has nothing to learn: every loss but the text's is 0, and so is its
    /// gradient.
    @Test func aTwinOfTheTeacherHasNothingToLearn() throws {
        let pool = try KernelPool(threads: 2)
        let student = try TwinFixture.model("llama3", on: pool)
        let teacher = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        var weights = DistillationWeights()
        weights.crossEntropy = 0
        weights.divergence = 1
        weights.temperature = 2
        let twin = DecoderTwin(student, on: pool)
        let distillation = try Distillation(weights, teacher: teacher, student: student, on: pool)
        let batch = try TwinFixture("llama3").batch
        let losses = try distillation.losses(twin, batch, scored: batch.scored)
        #expect(losses.count == 3)  // the divergence, and two blocks
        for loss in losses { #expect(abs(loss.scalar) < 1e-6) }
        twin.context.backward(losses)
        for parameter in student.parameters {
            #expect(parameter.training!.gradients.allSatisfy { abs($0) < 1e-5 }, "\(parameter.name)")
        }
    }

    /// The loss that is reported is the one whose gradient is taken: a step against it lowers it, block by
    /// block.
    @Test func theGradientIsThatOfTheSum() throws {
        let pool = try KernelPool(threads: 2)
        let student = try TwinFixture.model("llama3", on: pool)
        let teacher = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        var random = Random(seed: 3)
        for parameter in student.parameters.compactMap(\.training) {
            for index in parameter.values.indices { parameter.values[index] *= 1 + 0.2 * random.normal() }
        }
        var weights = DistillationWeights()
        weights.crossEntropy = 0.5
        weights.divergence = 0.7
        weights.squareHead = 0.3
        weights.temperature = 1.5
        let twin = DecoderTwin(student, on: pool)
        let distillation = try Distillation(weights, teacher: teacher, student: student, on: pool)
        let batch = try TwinFixture("llama3").batch
        func sum() throws -> Double {
            try distillation.losses(twin, batch, scored: batch.scored).reduce(0) { $0 + Double($1.scalar) }
        }
        twin.context.backward(try distillation.losses(twin, batch, scored: batch.scored))
        for name in [
            "model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight", "lm_head.weight",
        ] {
            let parameter = try #require(student.parameters.first { $0.name == name }?.training)
            // Along the gradient itself, so that float32 losses tell the two sides apart.
            let gradient = Array(parameter.gradients)
            let length = gradient.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            let step = 0.02
            let values = Array(parameter.values)
            func moved(_ share: Double) throws -> Double {
                for index in values.indices {
                    parameter.values[index] = values[index] + Float(share / length) * gradient[index]
                }
                defer { _ = parameter.values.update(fromContentsOf: values) }
                return try twin.context.withoutTape { try sum() }
            }
            let slope = (try moved(step) - moved(-step)) / (2 * step)
            #expect(abs(slope - length) < 0.01 * length, "\(name)")
        }
    }

    /// Gemma 2 caps its logits: the divergence is that of the distributions which both models answer with.
    @Test func theDivergenceIsThatOfCappedLogits() throws {
        let pool = try KernelPool(threads: 2)
        let student = try TwinFixture.model("gemma2", on: pool)
        let teacher = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/gemma2"))
        var random = Random(seed: 4)
        for parameter in student.parameters.compactMap(\.training) {
            for index in parameter.values.indices { parameter.values[index] *= 1 + 0.3 * random.normal() }
        }
        var weights = DistillationWeights()
        (weights.crossEntropy, weights.divergence, weights.squareHead) = (0, 1, 0)
        weights.temperature = 2
        let twin = DecoderTwin(student, on: pool)
        let distillation = try Distillation(weights, teacher: teacher, student: student, on: pool)
        let batch = try TwinFixture("gemma2").batch
        let loss = try distillation.losses(twin, batch, scored: batch.scored)[0].scalar
        let vocabulary = student.configuration.vocabularySize
        func logProbabilities(_ twin: DecoderTwin) throws -> [Double] {
            var all = try twin.logits(batch).floats()!.map { Double($0) / 2 }
            for first in stride(from: 0, to: all.count, by: vocabulary) {
                let row = first..<first + vocabulary
                let sum = log(all[row].reduce(0) { $0 + exp($1) })
                for index in row { all[index] -= sum }
            }
            return all
        }
        let own = try logProbabilities(twin)
        let theirs = try logProbabilities(DecoderTwin(teacher, on: pool))
        var expected = 0.0
        for (s, t) in zip(own, theirs) { expected += 4 * exp(t) * (t - s) / Double(batch.scored) }
        #expect(expected > 0.01)
        #expect(abs(Double(loss) - expected) < 1e-4 * expected)
    }

    @Test func teachersOfAnotherShape() throws {
        let pool = try KernelPool(threads: 1)
        let student = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/llama3"))
        let teacher = try LanguageModel(Checkpoint.open("\(TwinFixture.folder)/gemma2"))
        #expect(
            throws: TrainingError.badValue(key: "teacher's blocks", value: "3", expected: "the student's, 2")
        ) { _ = try Distillation(DistillationWeights(), teacher: teacher, student: student, on: pool) }
        var weights = DistillationWeights()
        weights.temperature = 0
        #expect(
            throws: TrainingError.badValue(
                key: "distillation.temperature", value: "0.0", expected: "more than 0")
        ) { _ = try Distillation(weights, teacher: student, student: student, on: pool) }
    }
}
