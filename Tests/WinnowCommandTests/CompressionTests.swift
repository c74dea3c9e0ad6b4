import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

/// Solvers, quantization and sweeps by way of the command.
@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct CompressionTests {
    private func run(_ verb: String, _ output: String, _ arguments: [String]) throws -> CommandRun.Ending {
        try CommandRun.run([verb, "--model", TinyModel.gguf, "--output", output, "--json"] + arguments)
    }

    private static let calibrating = ["--length", "64", "--samples", "4"]

    @Test func sparseGPTWritesWhatItSolved() throws {
        try TemporaryFolder.with { folder in
            let ending = try run(
                "prune", "\(folder)/out",
                ["--method", "sparsegpt", "--pattern", "2:4", "--true-sequential", "--damping", "0.02"]
                    + CompressionTests.calibrating)
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(try ending.json()["format"] == "masked-q4_1")
            let record = try JSONValue(parsing: TinyModel.contents("\(folder)/out/winnow.json"))
            #expect(record["settings"]?["true_sequential"] == true && record["settings"]?["damping"] == 0.02)
            let layers = try #require(record["result"]?["layers"]?.array)
            #expect(layers.allSatisfy { $0["loss"]?.number ?? -1 > 0 && $0["damping"] == 0.02 })
            let inspected = try CommandRun.run(["inspect", "--model", "\(folder)/out", "--json"]).json()
            #expect(inspected["zeros"]?.integer == (try ending.json())["zeros"]?.integer)
        }
    }

    @Test func allocationsAndSettingsAreTaken() throws {
        try TemporaryFolder.with { folder in
            for (name, arguments) in [
                ("erk", ["--method", "wanda", "--allocation", "erk"]),
                ("owl", ["--method", "sparsegpt", "--allocation", "owl", "--owl-threshold", "2"]),
                (
                    "dsnot",
                    [
                        "--method", "dsnot", "--start", "sparsegpt", "--statistics", "reference", "--cycles",
                        "9",
                    ]
                ),
            ] {
                let ending = try run("prune", "\(folder)/\(name)", arguments + CompressionTests.calibrating)
                #expect(ending.status == 0, "\(ending.errors)")
                #expect(abs((try ending.json()["sparsity"]?.number ?? 0) - 0.5) < 0.03)
            }
            let profile = try run(
                "prune", "\(folder)/profile",
                ["--method", "magnitude", "--allocation", "profile", "--profile", "\(folder)/erk"])
            #expect(profile.status == 0, "\(profile.errors)")
            let record = try JSONValue(parsing: TinyModel.contents("\(folder)/owl/winnow.json"))
            #expect(record["allocation"]?["name"] == "owl" && record["allocation"]?["threshold"]?.number == 2)
            for (arguments, message) in [
                (["--method", "wanda", "--damping", "0.1"], "no setting 'damping'"),
                (["--method", "dsnot", "--repair"], "false unless start is sparsegpt"),
                (["--method", "gptq"], "no method 'gptq'; there are magnitude, wanda, sparsegpt, dsnot"),
                (["--method", "wanda", "--allocation", "profile"], "come together"),
            ] {
                let ending = try run("prune", "\(folder)/bad", arguments)
                #expect(ending.status == 2 && ending.errors.contains(message), "\(ending.errors)")
            }
        }
    }

    @Test func quantizesUnderTheUsualNames() throws {
        try TemporaryFolder.with { folder in
            for (scheme, method, format) in [
                ("W8A16", "rtn", "int8"), ("W8A8", "gptq", "q8_0"), ("W4A16", "gptq", "int4"),
                ("W3A16", "awq", "int4"),
            ] {
                let ending = try run(
                    "quantize", "\(folder)/\(scheme)",
                    ["--scheme", scheme, "--method", method, "--group", "32"] + CompressionTests.calibrating)
                #expect(ending.status == 0, "\(ending.errors)")
                #expect(try ending.json()["format"]?.string == format)
                let record = try JSONValue(parsing: TinyModel.contents("\(folder)/\(scheme)/winnow.json"))
                #expect(record["scheme"]?.string == scheme && record["method"]?.string == method)
                let spoken = try CommandRun.run(
                    [
                        "generate", "--model", "\(folder)/\(scheme)", "--prompt", "a", "--max-tokens", "2",
                        "--raw",
                    ])
                #expect(spoken.status == 0, "\(spoken.errors)")
            }
            let dry = try run(
                "quantize", "\(folder)/dry", ["--scheme", "W4A16", "--method", "rtn", "--dry-run"])
            #expect(try dry.json()["plan"]?.array?.first?["rule"] == "rtn, W4A16")
            #expect(try dry.json()["plan"]?.array?.first?["to"] == "int4")
            let bad = try run("quantize", "\(folder)/bad", ["--scheme", "W5A16"])
            #expect(
                bad.status == 2
                    && bad.errors.contains("--scheme is one of W8A16, W8A8, W4A16, W3A16, not W5A16"))
        }
    }

    @Test func quantizingKeepsMasks() throws {
        try TemporaryFolder.with { folder in
            let pruned = try run("prune", "\(folder)/pruned", ["--method", "magnitude"])
            let zeros = try #require(try pruned.json()["zeros"]?.integer)
            let ending = try CommandRun.run(
                [
                    "quantize", "--model", "\(folder)/pruned", "--scheme", "W4A16", "--group", "32",
                    "--output",
                    "\(folder)/small", "--json",
                ] + CompressionTests.calibrating)
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(try ending.json()["format"] == "masked-int4")
            #expect(try ending.json()["zeros"]?.integer ?? 0 >= zeros)
        }
    }

    @Test func sweepsDrawCurvesAndGoOn() throws {
        try TemporaryFolder.with { folder in
            let arguments =
                [
                    "--method", "magnitude,wanda", "--over", "sparsity=0.2,0.5", "--window", "64",
                    "--max-windows", "2",
                ] + CompressionTests.calibrating
            let ending = try run("sweep", "\(folder)/out", arguments)
            #expect(ending.status == 0, "\(ending.errors)")
            let runs = try #require(try ending.json()["runs"]?.array)
            #expect(
                runs.map { $0["name"]?.string } == [
                    "as given", "magnitude 0.2", "magnitude 0.5", "wanda 0.2", "wanda 0.5",
                ])
            #expect(runs.allSatisfy { $0["perplexity"]?.number ?? 0 > 0 })
            #expect(
                String(decoding: TinyModel.contents("\(folder)/out/report.html"), as: UTF8.self).contains(
                    "<svg"))
            // The same again finds all done; other conditions do not mix with it.
            let again = try run("sweep", "\(folder)/out", arguments)
            #expect(again.status == 0, "\(again.errors)")
            #expect(try again.json()["runs"] == ending.json()["runs"])
            let other = try run("sweep", "\(folder)/out", arguments + ["--seed", "1"])
            #expect(other.status == 1 && other.errors.contains("exists"))
            let wrong = try run("sweep", "\(folder)/x", ["--method", "wanda", "--over", "damping=1"])
            #expect(wrong.status == 2 && wrong.errors.contains("no setting 'damping'"))
        }
    }

    @Test func blocksHaveACurveOfTheirOwn() throws {
        try TemporaryFolder.with { folder in
            let ending = try run(
                "sweep", "\(folder)/out",
                [
                    "--method", "magnitude", "--over", "sparsity=0.2,0.5", "--over",
                    "pattern=unstructured,1x4",
                    "--window", "64", "--max-windows", "2",
                ])
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(
                try ending.json()["curves"]?.array?.map { $0["name"]?.string } == [
                    "magnitude", "magnitude 1x4",
                ])
        }
    }

    @Test func sweepsFollowRecipesAndMeetRivals() throws {
        try TemporaryFolder.with { folder in
            let recipe = "calibration: {samples: 4, length: 64}\nphases:\n- {prune: sparsegpt, store: int4}"
            try TemporaryFolder.write(Array(recipe.utf8), to: "\(folder)/joint.yaml")
            let arguments = [
                "--recipe", "\(folder)/joint.yaml", "--over", "phases.0.sparsity=0.3,0.5", "--seeds", "0,1",
                "--speed",
                "--prompt", "Once", "--rivals", "\(TinyModel.fixtures)/tied-q4_0.gguf", "--window", "64",
                "--max-windows", "2",
            ]
            let ending = try run("sweep", "\(folder)/out", arguments)
            #expect(ending.status == 0, "\(ending.errors)")
            let json = try ending.json()
            let runs = try #require(json["runs"]?.array)
            #expect(
                runs.map { $0["name"]?.string } == [
                    "as given", "joint 0.3, seed 0", "joint 0.3, seed 1", "joint 0.5, seed 0",
                    "joint 0.5, seed 1",
                    "tied-q4_0.gguf",
                ])
            #expect(runs[1]["perplexity"] != runs[2]["perplexity"])
            // The rival's grid rounds a tenth of its weights to zero: that is not pruning.
            #expect(runs.map { $0["isPruned"]?.bool } == [false, true, true, true, true, false])
            #expect(runs[5]["sparsity"]?.number ?? 0 > 0.1)
            #expect(
                runs.dropFirst().allSatisfy {
                    ($0["blockErrors"]?.array ?? []).allSatisfy { $0.number ?? 0 > 0 }
                })
            #expect(runs.allSatisfy { $0["decodeRatio"]?.number ?? 0 > 0 && $0["sample"]?.string != nil })
            #expect(json["verdict"]?.string?.contains("only quantized") == true)
            #expect(json["curves"]?.array?.map { $0["name"]?.string } == ["joint"])
            // Another recipe under the same name is another sweep.
            try TemporaryFolder.write(Array((recipe + " # other").utf8), to: "\(folder)/joint.yaml")
            let other = try run("sweep", "\(folder)/out", arguments)
            #expect(other.status == 1 && other.errors.contains("exists"), "\(other.errors)")
            // Magnitude looks at no text: one seed is as good as two.
            let unseeded = try run(
                "sweep", "\(folder)/unseeded",
                [
                    "--method", "magnitude", "--over", "sparsity=0.5", "--seeds", "0,1", "--window", "64",
                    "--max-windows", "2",
                ])
            let names = try unseeded.json()["runs"]?.array?.map { $0["name"]?.string }
            #expect(names == ["as given", "magnitude 0.5"])
            for (arguments, message) in [
                (
                    ["--recipe", "\(folder)/joint.yaml", "--over", "phases.1.sparsity=0.3"],
                    "the path of a key"
                ),
                (["--rivals", "\(TinyModel.fixtures)/tied-q4_0.gguf", "--seeds", "0,0"], "--seeds"),
                ([], "give --method, --recipe or --rivals"),
            ] {
                let wrong = try run("sweep", "\(folder)/x", arguments)
                #expect(wrong.status == 2 && wrong.errors.contains(message), "\(wrong.errors)")
            }
        }
    }

    @Test func compressFollowsARecipe() throws {
        try TemporaryFolder.with { folder in
            let text = (0..<400).map { "word\($0 % 61)" }.joined(separator: " ")
            try TemporaryFolder.write(Array(text.utf8), to: "\(folder)/text.txt")
            let recipe = """
                calibration: {samples: 4, length: 64}
                evaluation: {text: \(folder)/text.txt, window: 64, max_windows: 2}
                phases:
                  - {prune: wanda, pattern: 2:4, ignore: down_proj}
                  - {finetune: \(folder)/text.txt, steps: 4, batch: 2, length: 32, teacher: given}
                  - {quantize: rtn, scheme: W8A16}
                """
            try TemporaryFolder.write(Array(recipe.utf8), to: "\(folder)/recipe.yaml")
            let plan = try run(
                "compress", "\(folder)/out", ["--recipe", "\(folder)/recipe.yaml", "--dry-run"])
            #expect(plan.status == 0, "\(plan.errors)")
            #expect(try plan.json()["phases"]?.array?.map { $0["plan"]?.array?.count } == [12, 0, 14])
            #expect(try plan.json()["predictedPeakBytes"]?.integer ?? 0 > 0)
            let ending = try run("compress", "\(folder)/out", ["--recipe", "\(folder)/recipe.yaml"])
            #expect(ending.status == 0, "\(ending.errors)")
            let phases = try #require(try ending.json()["phases"]?.array)
            let zeros = phases.map { $0["zeros"]?.integer ?? 0 }
            #expect(phases.count == 3 && zeros[0] <= zeros[1] && zeros[1] <= zeros[2])
            #expect(phases.allSatisfy { $0["perplexity"]?.number ?? 0 > 0 })
            #expect(TinyModel.contents("\(folder)/out.run/phase-1/report.html").count > 1000)
            func mode(_ name: String) throws -> JSONValue? {
                try JSONValue(parsing: TinyModel.contents("\(folder)/\(name)/winnow.json"))["evaluation"]?[
                    "before"]?[
                        "activations"]
            }
            // What was written says what made it, and makes it again; how it is measured changes nothing.
            let again = try run(
                "compress", "\(folder)/again",
                ["--recipe", "\(folder)/out/winnow.json", "--activations", "exact"])
            #expect(again.status == 0, "\(again.errors)")
            #expect(try mode("out") == "fast" && mode("again") == "exact")
            #expect(
                TinyModel.contents("\(folder)/again/model.safetensors")
                    == TinyModel.contents("\(folder)/out/model.safetensors"))
            let inspected = try CommandRun.run(["inspect", "--model", "\(folder)/out", "--json"]).json()
            #expect(inspected["zeros"]?.integer == zeros[2])
            try TemporaryFolder.write(
                Array("phases: [{prune: wanda, sparsty: 1}]".utf8), to: "\(folder)/bad.yaml")
            let bad = try run("compress", "\(folder)/bad", ["--recipe", "\(folder)/bad.yaml"])
            #expect(bad.status == 1 && bad.errors.contains("bad.yaml:1: phases[0].sparsty"), "\(bad.errors)")
        }
    }
}
