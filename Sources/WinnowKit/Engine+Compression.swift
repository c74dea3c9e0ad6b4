import WinnowCompress
import WinnowCore
import WinnowData
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowWeights

extension Engine {
    /// Prunes the model in place, on the engine's thread; what is generated next comes from the pruned model.
    ///
    /// - Parameter calibration: text for methods that look at activations.
    /// - Parameter samples: windows of it, fewer where it is shorter.
    /// - Parameter length: tokens of a window.
    /// - Throws: ``PruningError``, ``TextSourceError``, ``MemoryLimitError``; the model is then as it was.
    @discardableResult
    public func prune(
        using method: any LayerMethod, calibration: TextSource? = nil, samples: Int = 128, length: Int = 512,
        store: StoredForm = .source, seed: UInt64 = 0, memoryLimit: Int? = nil,
        cancellation: CancellationFlag? = nil, progress: @Sendable (Int, Int) -> Void = { _, _ in }
    ) throws -> PruningReport {
        let windows = try calibration.map {
            try CalibrationWindows($0, tokenizer: tokenizer, samples: samples, length: length, seed: seed).windows
        }
        return try run { runner in
            var pruner = SequentialPruner(method, threads: runner.configuration.threads)
            pruner.store = store
            pruner.seed = seed
            try pruner.memoryPlan(for: runner.model, windows: windows?.count ?? 0, length: length)
                .check(limit: memoryLimit)
            return try pruner.prune(
                runner.model, windows: windows ?? [], cancellation: cancellation, progress: progress)
        }
    }

    /// Writes the model as it is now into a folder in Hugging Face layout, complete or not at all.
    ///
    /// - Parameter record: what made the model, kept as `winnow.json` beside it; a report's `json`, say.
    /// - Throws: ``CheckpointError`` when the folder is there and `overwrite` is not set, ``FileError``.
    public func save(to folder: String, record: JSONObject? = nil, overwrite: Bool = false) throws {
        try run { [checkpoint] runner in
            var values: [String: CheckpointTensor] = [:]
            runner.model.visit { parameter in
                switch parameter.value {
                case .matrix(let matrix): values[parameter.name] = .matrix(matrix)
                case .vector(let vector): values[parameter.name] = .vector(vector)
                }
            }
            _ = try CheckpointWriter(folder, overwrite: overwrite).write(checkpoint, recipe: record) {
                name in
                try values[name] ?? checkpoint.tensor(name)
            }
        }
    }
}
