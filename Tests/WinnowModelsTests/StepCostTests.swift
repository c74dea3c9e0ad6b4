import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowText
import WinnowWeights

@Suite struct StepCostTests {
    /// 2 blocks, width 64, 4 heads and 2 key-value heads of 16, feed-forward 96, vocabulary 100, q4_0 (18 bytes for 32).
    private func model(_ format: WeightFormat = .q4_0) throws -> LanguageModel {
        try LanguageModel.synthetic(
            SyntheticShape(
                name: "tiny", layers: 2, width: 64, feedForwardWidth: 96, heads: 4, keyValueHeads: 2,
                vocabularySize: 100, tiesEmbeddings: true),
            format: format, sparsity: 0.5, headFormat: .int8, seed: 1)
    }

    private func counter(_ model: LanguageModel, tokens: Int, after: Int = 0) -> StepCounter {
        StepCounter(model, activations: .fast, kvType: .f16, tokens: tokens, after: after)
    }

    @Test func productsAreCountedByHand() throws {
        let model = try model()
        for tokens in [1, 5] {
            let counter = counter(model, tokens: tokens)
            // q 64 x 64, k and v 32 x 64; one input, three outputs.
            #expect(
                counter.cost(.queryKeyValue, block: 0)
                    == StepCost(
                        bytes: Double((64 + 32 + 32) * 2 * 18 + 4 * tokens * (64 + 64 + 32 + 32)),
                        int8Operations: Double(2 * 128 * 64 * tokens)))
            #expect(
                counter.cost(.attentionOutput, block: 1)
                    == StepCost(
                        bytes: Double(64 * 2 * 18 + 4 * tokens * 128),
                        int8Operations: Double(2 * 64 * 64 * tokens)))
            // gate and up read one input, and leave one gated row.
            #expect(
                counter.cost(.gateUp, block: 0)
                    == StepCost(
                        bytes: Double(2 * 96 * 2 * 18 + 4 * tokens * (64 + 96)),
                        int8Operations: Double(2 * 2 * 96 * 64 * tokens)))
            #expect(
                counter.cost(.down, block: 0)
                    == StepCost(
                        bytes: Double(64 * 3 * 18 + 4 * tokens * (64 + 96)),
                        int8Operations: Double(2 * 96 * 64 * tokens)))
            #expect(counter.cost(.router, block: 0) == StepCost())
        }
        // One row of logits whatever the step: int8 with a scale a row, two planes.
        #expect(
            counter(model, tokens: 5).cost(.head, block: nil)
                == StepCost(bytes: Double(100 * 64 + 100 * 4 + 4 * 164), int8Operations: Double(4 * 100 * 64))
        )
        let floats = try self.model(.f32)
        let cost = counter(floats, tokens: 3).cost(.down, block: 0)
        #expect(cost.f32Operations == Double(2 * 96 * 64 * 3) && cost.int8Operations == 0)
    }

    @Test func attentionReadsWhatItSees() throws {
        let model = try model()
        // The 11th token sees 11 keys and values of 2 heads of 16 halves.
        #expect(
            counter(model, tokens: 1, after: 10).cost(.attention, block: 0)
                == StepCost(bytes: Double(2 * 11 * 2 * 32 + 4 * 2 * 64), f32Operations: Double(4 * 11 * 64)))
        // 4 tokens from the start: 1 + 2 + 3 + 4 pairs.
        let prefill = counter(model, tokens: 4).cost(.attention, block: 0)
        #expect(prefill.f32Operations == Double(4 * 10 * 64))
        #expect(prefill.bytes == Double(2 * 4 * 2 * 32 + 4 * 2 * 4 * 64))
    }

    /// The bytes of all stages are the weights, once.
    @Test func weightsAreCountedOnce() throws {
        let model = try model()
        let counter = counter(model, tokens: 1)
        var bytes = 0.0
        for block in model.blocks.indices {
            for stage in [StepClock.Stage.queryKeyValue, .attentionOutput, .gateUp, .down] {
                bytes += counter.cost(stage, block: block).bytes
            }
        }
        bytes += counter.cost(.head, block: nil).bytes
        let activations = 4 * (2 * (192 + 128 + 160 + 160) + 164)
        var norms = 0
        model.visit { if case .vector(let vector) = $0.value { norms += vector.bytes.byteCount } }
        #expect(Int(bytes) - activations == model.bytesPerToken - norms)
    }

    @Test func standingAddsTheTimesOfBothArithmetics() {
        let cost = StepCost(bytes: 1e6, f32Operations: 1e8, int8Operations: 4e8)
        let standing = cost.standing(seconds: 0.01, bandwidth: 1e9, f32Peak: 1e11, int8Peak: 1e12)
        #expect(abs(standing.memoryShare - 0.1) < 1e-12)
        #expect(abs(standing.arithmeticShare - (0.001 + 0.0004) / 0.01) < 1e-12)
        #expect(standing.bound == .overhead)
    }

    /// A clock that ticks once a look: each lap is one tick, and a step looks as often as it has stages.
    @Test func clockCountsStages() throws {
        let model = try model()
        var time = 0.0
        let clock = StepClock(blocks: 2) {
            time += 1
            return time
        }
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.chunk = 4
        let runner = try ModelRunner(model, configuration)
        runner.stepClock = clock
        let sequence = runner.makeSequence(capacity: 8)
        var logits: [[Float]] = []
        for timed in [true, false] {
            runner.stepClock = timed ? clock : nil
            sequence.reset()
            for tokens in [[TokenID(1), 2, 3], [4]] {
                runner.begin()
                try tokens.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                try runner.run()
            }
            logits.append(Array(try runner.logits(rows: 0..<1)))
        }
        #expect(logits[0] == logits[1])
        #expect(clock.steps == 2)
        #expect(clock.seconds(.embedding, block: nil) == 2 && clock.seconds(.head, block: nil) == 1)
        for block in 0..<2 {
            for stage in [
                StepClock.Stage.queryKeyValue, .positions, .attention, .attentionOutput, .gateUp, .down,
            ] {
                #expect(clock.seconds(stage, block: block) == 2)
            }
            // Before the four products, and after the block.
            #expect(clock.seconds(.inputs, block: block) == 10)
            #expect(clock.seconds(.router, block: block) == 0)
        }
        clock.reset()
        #expect(clock.steps == 0 && clock.seconds(.down, block: 1) == 0)
    }
}
