import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels

/// A run of training in a folder of its own: checkpoints, `log.jsonl`, `report.html` and, at the end,
/// `model`.
///
/// A run that stopped anywhere, killed included, goes on from its last checkpoint with the same bits: the
/// folder is looked at when the run begins.
public struct TrainingRun {
    public let folder: String
    public let trainer: Trainer
    /// What makes this run what it is: a checkpoint of another one is refused.
    public let identity: JSONObject
    public var validation: [DecoderBatch] = []
    /// Lines of `log.jsonl` so far.
    public private(set) var records: [StepRecord] = []
    /// The best evaluation, and how many came after it.
    public private(set) var best: (loss: Double, step: Int)?
    public private(set) var evaluationsSinceBest = 0
    /// Where the run went on from; nil: it began here.
    public private(set) var resumedFrom: TrainingCheckpoint?
    private var log: TrainingLogFile

    public enum Ending: String, Sendable { case steps, patience, stopped }

    private var checkpoints: String { "\(folder)/checkpoints" }

    /// Sets up the folder, and puts the trainer where the last checkpoint was.
    ///
    /// - Parameter overwrite: removes what a run before left there.
    /// - Throws: ``TrainingError/otherRun(folder:what:)``,
    ///   ``TrainingError/damagedCheckpoint(folder:reason:)``, `FileError`.
    public init(
        _ trainer: Trainer, in folder: String, identity: JSONObject, overwrite: Bool = false
    ) throws {
        self.trainer = trainer
        self.folder = folder
        self.identity = identity
        if overwrite {
            for name in ["checkpoints", "model", "log.jsonl", "report.html", "report.json"] {
                AtomicOutput.remove("\(folder)/\(name)")
            }
        }
        try FilePath.makeFolder(folder)
        try FilePath.makeFolder("\(folder)/checkpoints")
        if let last = TrainingCheckpoint.all(in: "\(folder)/checkpoints").last {
            try last.restore(trainer, run: identity)
            resumedFrom = last
            if let loss = last.notes["bestLoss"]?.number, let step = last.notes["bestStep"]?.integer {
                best = (loss, step)
            }
            evaluationsSinceBest = last.notes["evaluationsSinceBest"]?.integer ?? 0
        }
        // Lines after the checkpoint belong to steps that are done again.
        (log, records) = try TrainingLogFile.continuing("\(folder)/log.jsonl", through: trainer.step)
    }

    /// Trains to the end, or until the flag is set: then a checkpoint is written first.
    ///
    /// - Parameter progress: called after each step.
    /// - Throws: ``TrainingError``; the last checkpoint is as it was.
    public mutating func run(
        cancellation: CancellationFlag? = nil, progress: (StepRecord) -> Void = { _ in }
    ) throws -> Ending {
        let configuration = trainer.configuration
        var ending = Ending.steps
        while !trainer.isDone {
            if let cancellation, cancellation.isCancelled {
                ending = .stopped
                break
            }
            var record: StepRecord
            do { record = try trainer.takeStep() } catch let error as TrainingError {
                throw error.naming(TrainingCheckpoint.all(in: checkpoints).last?.path)
            }
            if isDue(configuration.evaluateEvery), !validation.isEmpty {
                record.evaluationLoss = try trainer.evaluate(validation)
            }
            records.append(record)
            try log.append(record)
            progress(record)
            if let loss = record.evaluationLoss, remember(loss, patience: configuration.patience) {
                ending = .patience
                break
            }
            if configuration.checkpointEvery > 0, trainer.step % configuration.checkpointEvery == 0 {
                try saveCheckpoint()
            }
        }
        if TrainingCheckpoint.all(in: checkpoints).last?.step != trainer.step { try saveCheckpoint() }
        return ending
    }

    private func isDue(_ every: Int) -> Bool { trainer.isDone || (every > 0 && trainer.step % every == 0) }

    /// - Returns: whether patience is at an end.
    private mutating func remember(_ loss: Double, patience: Int?) -> Bool {
        if loss < best?.loss ?? .infinity {
            best = (loss, trainer.step)
            evaluationsSinceBest = 0
            return false
        }
        evaluationsSinceBest += 1
        return patience.map { evaluationsSinceBest >= $0 } ?? false
    }

    private func saveCheckpoint() throws {
        var notes = JSONObject([("evaluationsSinceBest", .integer(Int64(evaluationsSinceBest)))])
        if let best {
            notes["bestLoss"] = .number(best.loss)
            notes["bestStep"] = .integer(Int64(best.step))
        }
        try TrainingCheckpoint.write(trainer, run: identity, notes: notes, into: checkpoints)
        TrainingCheckpoint.removeOld(in: checkpoints, keeping: trainer.configuration.keepCheckpoints)
    }
}

extension TrainingError {
    fileprivate func naming(_ checkpoint: String?) -> TrainingError {
        guard case .notFinite(let step, let what, let place, _) = self else { return self }
        return .notFinite(step: step, what: what, place: place, checkpoint: checkpoint)
    }
}
