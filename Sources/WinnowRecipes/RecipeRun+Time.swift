import WinnowCompress
import WinnowCore
import WinnowData
import WinnowGenerate
import WinnowModels
import WinnowText

extension RecipeRun {
    /// About how long each phase will take here, found by running a little of it; the model is as it was afterwards.
    ///
    /// A method walks the first block with one window and with three: what the windows add is multiplied by their
    /// number, the rest by the number of blocks. Training is taken for three passes in float32 over its tokens, four with
    /// `recompute`, one more with a teacher; validation is left out.
    ///
    /// - Parameter windows: those that the phases will calibrate on.
    /// - Returns: seconds; nil where a piece says nothing of the whole: a selection over the whole model, structures that are dropped.
    public func expectedSeconds(windows: CalibrationWindows?) throws -> [Double?] {
        var speed: Double?
        return try recipe.phases.map { phase in
            switch phase {
            case .compress(let phase): return try seconds(phase, windows?.windows ?? [])
            case .drop: return nil
            case .finetune(let phase):
                let rate = try speed ?? forwardTokensPerSecond()
                speed = rate
                let training = phase.training
                let tokens = training.steps * training.accumulate * training.batch * training.length
                let passes = (training.recompute ? 4 : 3) + (phase.teacher == nil ? 0 : 1)
                return Double(tokens * passes) / rate
            }
        }
    }

    private func seconds(_ phase: CompressionPhase, _ windows: [[TokenID]]) throws -> Double? {
        let goal = phase.method.goal
        guard goal.scope != .global || !goal.isCounted else { return nil }
        var pruner = phase.pruner(threads: threads, seed: recipe.seed, recipe.calibration)
        let isOutliers = pruner.allocation != .uniform && pruner.needsCalibration
        pruner.allocation = .uniform
        pruner.blockLimit = 1
        let blocks = Double(loaded.model.blocks.count)
        let snapshot = WeightSnapshot(loaded.model)
        func walk(_ count: Int) throws -> Double {
            defer { snapshot.restore() }
            let start = ContinuousClock.now
            _ = try pruner.prune(
                loaded.model, windows: Array(windows.prefix(count)), cancellation: cancellation)
            return (ContinuousClock.now - start) / .seconds(1)
        }
        // The first walk reads pages that later ones find in memory.
        _ = try walk(1)
        let one = try walk(1)
        guard pruner.needsCalibration, windows.count > 1 else { return one * blocks }
        let count = min(3, windows.count)
        let each = max(0, (try walk(count) - one) / Double(count - 1))
        let all = Double(windows.count) * each
        return blocks * (max(0, one - each) + all * (isOutliers ? 1.5 : 1))
    }

    /// Of a pass with float32 inputs over a window, without the head.
    private func forwardTokensPerSecond() throws -> Double {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = min(256, loaded.model.configuration.contextLength)
        var benchmark = SpeedBenchmark()
        benchmark.promptTokens = configuration.chunk
        benchmark.generateTokens = 0
        benchmark.repeats = 1
        benchmark.samplesBandwidth = false
        return max(
            try benchmark.run(try ModelRunner(loaded.model, configuration), cancellation: cancellation)
                .prefillTokensPerSecond, 1e-9)
    }
}
