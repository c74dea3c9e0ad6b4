import Testing
import WinnowCompress
import WinnowCore
import WinnowTestKit

@Suite struct LayerSelectionTests {
    private func names(_ targets: [String], _ ignore: [String] = [], _ model: String = "tied") throws
        -> [String]
    {
        try LayerSelection(targets: targets, ignore: ignore).layers(of: TinyLlama.model(model)).layers.map(
            \.name)
    }

    @Test func patternsMeanWhatLLMCompressorMeans() throws {
        let down = (0..<2).map { "model.layers.\($0).mlp.down_proj.weight" }
        #expect(try names(["down_proj"]) == down)
        #expect(try names(["re:.*down_proj"]) == down)
        #expect(try names(["re:.*down_proj$"]) == down)
        #expect(try names(["re:model\\.layers\\.1\\.mlp\\.down"]) == [down[1]])
        #expect(try names(["model.layers.0.mlp.down_proj"]) == [down[0]])
        #expect(try names(["layers.0.mlp.down_proj.weight"]) == [down[0]])
        #expect(try names(["Linear"], ["re:.*(q|k|v|o|gate|up)_proj", "lm_head"]) == down)
        #expect(try names([]).count == 14)
        // `re:` matches from the start, as Python's `re.match` does.
        #expect(throws: ConfigurationError.self) { try names(["re:down_proj"]) }
    }

    @Test func whatMatchesNothingOrNoLinearIsRefused() throws {
        #expect(
            throws: ConfigurationError.notPrunable(pattern: "embed_tokens", name: "model.embed_tokens.weight")
        ) {
            try names(["embed_tokens"])
        }
        #expect(throws: ConfigurationError.notPrunable(pattern: "lm_head", name: "lm_head.weight")) {
            try names(["lm_head"], [], "untied")
        }
        for (targets, ignore) in [(["proj"], []), ([], ["q_prog"]), (["re:("], [])] as [([String], [String])]
        {
            #expect(throws: ConfigurationError.self) { try names(targets, ignore) }
        }
    }

    @Test func layersThatAreLeftCountButDoNotChange() throws {
        let pool = try KernelPool(threads: 1)
        let (model, whole) = (try TinyLlama.model("tied-q4_1.gguf"), try TinyLlama.model("tied-q4_1.gguf"))
        var pruner = SequentialPruner(
            try MethodRegistry.standard.entry("wanda").make(.init([("sparsity", 0.5)])), threads: 1)
        let full = try pruner.prune(whole, windows: TinyLlama.windows(2, length: 24))
        pruner.selection = LayerSelection(ignore: ["re:model.layers.1"])
        let report = try pruner.prune(model, windows: TinyLlama.windows(2, length: 24))
        #expect(report.layers.map(\.name) == full.layers.map(\.name) && report.prunable == 61_440)
        #expect(report.layers.prefix(7).map(\.maskSHA256) == full.layers.prefix(7).map(\.maskSHA256))
        #expect(report.layers.suffix(7).allSatisfy { $0.pruned == 0 && $0.format == "q4_1" })
        #expect(report.zeros == PrunableLayers(model).zeros(on: pool))
        // A method that scales a block's layers together takes all of them or none.
        var awq = SequentialPruner(try MethodRegistry.standard.entry("awq").make(.init()), threads: 1)
        awq.store = .int4(group: 32)
        awq.selection = LayerSelection(targets: ["down_proj"])
        #expect(throws: ConfigurationError.self) {
            _ = try awq.prune(try TinyLlama.model("tied"), windows: TinyLlama.windows(2, length: 24))
        }
        awq.selection = LayerSelection(targets: ["re:model.layers.0"])
        let half = try awq.prune(try TinyLlama.model("tied"), windows: TinyLlama.windows(2, length: 24))
        #expect(
            Set(half.layers.prefix(7).map(\.format)) == ["int4"]
                && Set(half.layers.suffix(7).map(\.format)) == ["f32"])
    }
}
