import WinnowWeights
import WinnowCore
import WinnowGenerate
import WinnowModels
import WinnowIO
import WinnowText
let args = CommandLine.arguments
if args[1] == "gen" {
    let t0 = ContinuousClock.now
    let loaded = try LoadedModel(opening: args[2])
    var c = ModelRunner.Configuration(threads: Int(args[3])!)
    if args.count > 4 { c.activations = ActivationMode(rawValue: args[4])!; c.kvType = .f32 }
    let runner = try ModelRunner(loaded.model, c)
    let g = TextGenerator(runner: runner, tokenizer: loaded.tokenizer)
    let ids = loaded.tokenizer.encode("<|im_start|>user\nWhat is the capital of France? Tell me about it.<|im_end|>\n<|im_start|>assistant\n")
    print("open", ContinuousClock.now - t0)
    var o = GenerationOptions(); o.maxTokens = 128
    let r = try g.generate(ids, o)
    print(r.text, r.prefillTokensPerSecond, r.decodeTokensPerSecond)
} else {
    let loaded = try LoadedModel(opening: args[2])
    var c = ModelRunner.Configuration(threads: Int(args[3])!)
    c.chunk = 512
    let runner = try ModelRunner(loaded.model, c)
    print(try SpeedBenchmark().run(runner))
}
