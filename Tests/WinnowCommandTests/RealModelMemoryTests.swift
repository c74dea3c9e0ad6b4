import Testing
import WinnowJSON
import WinnowTestKit

/// Whether a real model can be pruned here: in a debug build that takes minutes.
private enum RealModel {
    static let isFast: Bool = {
        #if DEBUG
            false
        #else
            CommandRun.executable != nil && PulledModel.path != nil
        #endif
    }()
}

/// What `--dry-run` predicts, against what the process holds at its peak (VmHWM), on a real model.
@Suite(.serialized, .enabled(if: RealModel.isFast, "wants a release build and the pulled model"))
struct RealModelMemoryTests {
    @Test(arguments: [
        ["--method", "magnitude", "--sparsity", "0.5"],
        ["--method", "magnitude", "--sparsity", "0.5", "--store", "int8"],
        ["--method", "wanda", "--sparsity", "0.5", "--samples", "4"],
        ["--method", "wanda", "--sparsity", "0.5", "--samples", "8"],
        ["--method", "wanda", "--pattern", "2:4", "--samples", "4", "--store", "int4"],
        ["--method", "sparsegpt", "--sparsity", "0.5", "--samples", "4"],
    ])
    func prune(_ arguments: [String]) throws { try compare(["prune"] + arguments) }

    @Test(arguments: [
        ["--to", "hf"], ["--to", "gguf"], ["--to", "gguf", "--format", "f16"], ["--to", "packed"],
        ["--to", "packed", "--format", "masked-q4_1"], ["--to", "packed", "--format", "masked-int8"],
    ])
    func convert(_ arguments: [String]) throws { try compare(["convert"] + arguments) }

    private func compare(_ arguments: [String]) throws {
        try TemporaryFolder.with { folder in
            let all = arguments + ["--model", PulledModel.path!, "--output", "\(folder)/out", "--json"]
            let plan = try CommandRun.run(all + ["--dry-run"]).json()
            let predicted = try #require(plan["predictedPeakBytes"]?.integer)
            let run = try CommandRun(all + ["--threads", "2"])
            var held = 0
            let ending = try run.ending(seconds: 300) { held = max(held, run.peakBytes) }
            #expect(ending.status == 0, "\(ending.errors)")
            held = max(held, try ending.json()["peakBytes"]?.integer ?? 0)
            let share = Double(predicted) / Double(held)
            let finding = "predicted \(predicted) bytes, held \(held)"
            print("\(arguments.joined(separator: " ")): \(finding)")
            #expect(0.9...1.1 ~= share, "\(finding): \(plan["memory"]?.text() ?? "")")
        }
    }
}
