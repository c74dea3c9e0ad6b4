import Testing
import WinnowIO
import WinnowWeights

@Suite struct CheckpointTests {
    @Test(arguments: ["tied", "tied-q8_0.gguf", "tied-q4_0.gguf", "tied-q4_1.gguf"])
    func opensTiedModels(_ name: String) throws {
        let checkpoint = try Checkpoint.open(Fixture.path(name))
        let configuration = checkpoint.configuration
        #expect(configuration.width == 64)
        #expect(configuration.feedForwardWidth == 96)
        #expect(configuration.heads == 4)
        #expect(configuration.keyValueHeads == 2)
        #expect(configuration.headWidth == 16)
        #expect(configuration.layers == 2)
        #expect(configuration.vocabularySize == 288)
        #expect(configuration.contextLength == 128)
        #expect(configuration.ropeBase == 10_000)
        #expect(configuration.normEpsilon == 1e-5)
        #expect(configuration.tiesEmbeddings)
        #expect(configuration.bosID == 1)
        #expect(configuration.eosIDs == [2])
        #expect(configuration.rotaryStyle == (name == "tied" ? .halves : .interleaved))
        #expect(checkpoint.names.count == 20)
        #expect(checkpoint.tokenizer.tokens.count == 288)
        #expect(checkpoint.tokenizer.chatTemplate?.contains("<|im_start|>") == true)
        let query = try checkpoint.matrix("model.layers.1.self_attn.q_proj.weight")
        #expect(query.rows == 64 && query.columns == 64)
        #expect(try checkpoint.vector("model.norm.weight").shape == [64])
    }

    @Test(arguments: ["untied", "untied-f16.gguf"])
    func opensUntiedModels(_ name: String) throws {
        let checkpoint = try Checkpoint.open(Fixture.path(name))
        #expect(!checkpoint.configuration.tiesEmbeddings)
        #expect(checkpoint.configuration.ropeBase == 100_000)
        #expect(checkpoint.configuration.normEpsilon == 1e-6)
        #expect(checkpoint.names.count == 21)
        #expect(checkpoint.tokenizer.chatTemplate?.contains("<|im_start|>") == true)
        let head = try checkpoint.matrix("lm_head.weight")
        #expect(head.rows == 288 && head.columns == 32)
        #expect(head.format == (name == "untied" ? .bf16 : .f16))
    }
}
