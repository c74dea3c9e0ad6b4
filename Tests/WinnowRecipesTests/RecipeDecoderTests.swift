import Testing
import WinnowCompress
import WinnowJSON
import WinnowRecipes
import WinnowTrain
import WinnowYAML

private func decode(_ text: String) throws -> Recipe {
    try RecipeDecoder().decode(Array(text.utf8), file: "r.yaml")
}

private func compression(_ recipe: Recipe, _ index: Int) throws -> CompressionPhase {
    guard case .compress(let phase) = recipe.phases[index] else { throw Missing() }
    return phase
}

private struct Missing: Error {}

@Suite struct RecipeDecoderTests {
    @Test func readsPhasesInOrderWithTheirOwnKeys() throws {
        let recipe = try decode(
            """
            seed: 7
            calibration: {text: c.txt, samples: 16, length: 256, activations: fast}
            evaluation: {max_windows: 4}
            phases:
              - prune: sparsegpt
                pattern: 2:4
                damping: 0.02
                ignore: ["re:.*down_proj", lm_head]
                allocation: uniform
                store: int4
                group: 64
              - finetune: book.txt
                steps: 20
                learning_rate: 1e-4
                teacher: given
                distillation: {divergence: 0.5}
                overflow: cut
                store: f32
              - quantize: gptq
                scheme: W4A16
                act_order: true
            """)
        #expect(recipe.seed == 7 && recipe.calibration.samples == 16 && recipe.evaluation?.maxWindows == 4)
        #expect(recipe.calibration.activations == .fast && recipe.evaluation?.window == 512)
        let prune = try compression(recipe, 0)
        #expect(prune.method.goal.pattern == .nOfM(n: 2, m: 4) && prune.store == .int4(group: 64))
        #expect(prune.selection.ignore == ["re:.*down_proj", "lm_head"])
        guard case .finetune(let finetune) = recipe.phases[1] else { throw Missing() }
        #expect(finetune.training.steps == 20 && finetune.teacher == .given && finetune.store == nil)
        #expect(finetune.distillation.divergence == 0.5 && finetune.corpus.overflow == .cut)
        #expect(finetune.training.learningRate.value(at: 3, of: 20) == 1e-4)
        let quantize = try compression(recipe, 2)
        #expect(quantize.scheme == "W4A16" && quantize.method.settings["act_order"] == true)
        #expect(quantize.store == .int4(group: 128))
    }

    @Test func whatIsWrittenReadsBackWithAllDefaults() throws {
        let recipe = try decode(
            """
            evaluation: {}
            phases:
              - {drop: neurons, fraction: 0.25, reconstruct: false, store: q8_0}
              - {drop: layers, fraction: 0.1}
              - {prune: wanda, allocation: profile, profile: other}
              - {prune: dsnot, start: sparsegpt, sparsity: 0.6, allocation: owl, owl_spread: 0.1}
              - {finetune: a.txt, teacher: other, pruning: {to: 0.7}, steps: 100}
              - {quantize: awq, scheme: W3A16, group: 32, targets: [Linear]}
            """)
        let text = JSONValue.object(recipe.json).yaml()
        let again = try decode(text)
        #expect(again.json == recipe.json)
        #expect(text.contains("pattern: unstructured") && text.contains("owl_threshold: 5"))
        // A model's winnow.json is read as the recipe inside it.
        let record = JSONObject([("winnow", "0.1.0"), ("recipe", .object(recipe.json)), ("phases", [])])
        #expect(try decode(JSONValue.object(record).text()).json == recipe.json)
    }

    @Test(arguments: [
        (
            "phases:\n  - prune: wanda\n    sparsty: 0.5", 3, "phases[0].sparsty",
            "there are sparsity, pattern"
        ),
        ("phases:\n  - prune: wand", 2, "phases[0].prune", "no method 'wand'; there are magnitude"),
        ("phases:\n  - prune: gptq", 2, "phases[0].prune", "no method 'gptq'"),
        (
            "phases:\n  - prune: wanda\n    sparsity: high", 3, "phases[0].sparsity",
            "\"high\" is not a number"
        ),
        ("phases:\n  - prune: wanda\n    pattern: 4:2", 3, "phases[0].pattern", "N:M"),
        ("phases:\n  - prune: wanda\n    sparsity: 1.5", 3, "phases[0].sparsity", "1.5 is not a share"),
        ("phases:\n  - sparsity: 0.5", 2, "phases[0]", "begins with one of"),
        ("phases:\n  - {prune: wanda, quantize: rtn}", 2, "phases[0]", "begins with one of"),
        ("phases: wanda", 1, "phases", "expected a list"), ("phases: []", 1, "phases", "no phase"),
        ("seed: 1", 1, "", "phases"),
        ("phases:\n- {prune: wanda}\ncalibraton: {}", 3, "calibraton", "there are seed, calibration"),
        (
            "phases:\n- {prune: wanda}\ncalibration: {samples: 0}", 3, "calibration.samples",
            "0 is not 1 or more"
        ),
        ("phases:\n- {prune: wanda}\ncalibration: {text: 5}", 3, "calibration.text", "5 is not a text"),
        ("phases:\n- {prune: wanda}\nseed: -1", 3, "seed", "negative"),
        ("phases:\n- {prune: wanda, store: q9}", 2, "phases[0].store", "q9 is not source"),
        ("phases:\n- {prune: wanda, group: 48}", 2, "phases[0].group", "48 is not 32"),
        ("phases:\n- {prune: wanda, owl_spread: 0.1}", 2, "phases[0].owl_spread", "only allocation: owl"),
        ("phases:\n- {prune: wanda, allocation: profile}", 2, "phases[0]", "needs profile: MODEL"),
        ("phases:\n- {prune: wanda, profile: a}", 2, "phases[0].profile", "only allocation: profile"),
        ("phases:\n- {drop: rows, fraction: 0.5}", 2, "phases[0].drop", "rows is not neurons"),
        ("phases:\n- {drop: heads}", 2, "phases[0]", "needs a fraction"),
        ("phases:\n- {drop: heads, fraction: 1}", 2, "phases[0].fraction", "1.0 is not more than 0"),
        ("phases:\n- {drop: layers, fraction: 0.5,\n   damping: 1}", 3, "phases[0].damping", "no such key"),
        (
            "phases:\n- {drop: heads, fraction: 0.5, store: q4_k}", 2, "phases[0].store",
            "q4_k is not source, f32"
        ),
        ("phases:\n- {quantize: gptq}", 2, "phases[0]", "needs a scheme"),
        (
            "phases:\n- {quantize: smoothquant, round: false, scheme: W8A8}", 2, "phases[0].scheme",
            "nothing is rounded"
        ),
        ("phases:\n- {quantize: rtn, scheme: W5A5}", 2, "phases[0].scheme", "W5A5 is not W8A16"),
        ("phases:\n- finetune: a\n  stepz: 4", 3, "phases[0].stepz", "there are steps, batch"),
        ("phases:\n- finetune: a\n  steps: 0", 3, "phases[0].steps", "0 is not 1 or more"),
        ("phases:\n- finetune: a\n  steps: high", 2, "phases[0]", "expected Int at steps"),
        (
            "phases:\n- finetune: a\n  optimizer:\n    kind: adamw\n    bta: 1", 5, "phases[0].optimizer.bta",
            "there are kind"
        ),
        (
            "phases:\n- finetune: a\n  optimizer: {kind: adamw,\n   beta1: 2}", 4,
            "phases[0].optimizer.beta1",
            "2.0 is not 0 to less than 1"
        ),
        (
            "phases:\n- finetune: a\n  learning_rate: {kind: cosine, frm: 1}", 3, "phases[0].learning_rate",
            "no key 'frm' in a cosine schedule"
        ),
        (
            "phases:\n- finetune: a\n  pruning:\n    too: 0.5", 4, "phases[0].pruning.too",
            "there are from, to"
        ),
        (
            "phases:\n- finetune: a\n  pruning:\n    to: 1.5", 4, "phases[0].pruning.to",
            "1.5 is not 0 to less"
        ),
        ("phases:\n- {finetune: a, distillation: {}}", 2, "phases[0].distillation", "needs a teacher"),
        (
            "phases:\n- {finetune: a, teacher: given,\n   distillation: {temperature: 0}}", 3,
            "phases[0].distillation",
            "more than 0"
        ),
        ("phases:\n- {finetune: a, overflow: drop}", 2, "phases[0].overflow", "fail or cut"),
    ])
    func namesTheLineTheKeyAndWhatIsKnown(text: String, line: Int, path: String, words: String) throws {
        let error = #expect(throws: RecipeError.self) { try decode(text) }
        #expect(error?.path == path && error?.line == line, "\(error?.description ?? "")")
        #expect(error?.reason.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func readsTheModifiersOfLLMCompressor() throws {
        let recipe = try decode(
            """
            sparsity_stage:
              run_type: oneshot
              sparsity_modifiers:
                SparseGPTModifier:
                  sparsity: 0.5
                  mask_structure: "1:4"
                  dampening_frac: 0.05
                  targets: [Linear]
                  ignore: ["re:.*lm_head"]
                ConstantPruningModifier: {targets: ['re:.*q_proj.weight']}
                WandaPruningModifier: {sparsity: 0.6, mask_structure: "0:0", sparsity_profile: owl, owl_m: 7}
            quantization_stage:
              quantization_modifiers:
                GPTQModifier: {scheme: W4A16, actorder: static, ignore: lm_head}
            """)
        #expect(recipe.phases.count == 3)
        let sparse = try compression(recipe, 0)
        // It prunes 1 of 4; ours keeps 3 of 4.
        #expect(sparse.methodName == "sparsegpt" && sparse.method.goal.pattern == .nOfM(n: 3, m: 4))
        #expect(sparse.method.settings["damping"] == 0.05 && sparse.selection.targets == ["Linear"])
        #expect(try compression(recipe, 1).allocation == .outliers(threshold: 7, spread: 0.05))
        #expect(try compression(recipe, 1).method.goal.sparsity == 0.6)
        let quantized = try compression(recipe, 2)
        #expect(quantized.scheme == "W4A16" && quantized.method.settings["act_order"] == true)
        // Scales alone; what follows rounds.
        let smooth = try decode(
            """
            quant_stage:
              quant_modifiers:
                SmoothQuantModifier: {smoothing_strength: 0.8}
                QuantizationModifier: {scheme: W8A8}
            """)
        #expect(try compression(smooth, 0).method.settings == JSONObject([("alpha", 0.8), ("round", false)]))
        #expect(try compression(smooth, 0).scheme == nil && compression(smooth, 1).methodName == "rtn")
        #expect(try decode(JSONValue.object(smooth.json).yaml()).json == smooth.json)
        let whole = try decode("phases: [{quantize: smoothquant, alpha: 0.6, scheme: W8A8}]")
        #expect(try compression(whole, 0).store == .int8)
        for (text, words) in [
            ("SmoothQuantModifier: {mappings: []}", "no such key"),
            ("GPTQModifier: {scheme: W4A16, actorder: group}", "not done here"),
            ("GPTQModifier: {scheme: W4A16, kv_cache_scheme: {}}", "no such key"),
            ("WandaPruningModifier: {mask_structure: a}", "a is no N:M"),
            ("SparseGPTModifier: {sparsity: 0.5, sequential_update: false}", "always true here"),
            ("x_stage: {y: 1}", "expected a stage"), ("ConstantPruningModifier: {targets: a}", "no modifier"),
        ] {
            let error = #expect(throws: RecipeError.self) { try decode(text) }
            #expect(error?.reason.contains(words) == true, "\(error?.description ?? "")")
        }
    }
}
