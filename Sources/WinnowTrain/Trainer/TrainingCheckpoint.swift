import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowWeights

/// All that a run needs to go on with the same bits: a folder with `masters.safetensors`,
/// `optimizer.safetensors`, `masks.safetensors` and `state.json`, written aside and renamed.
public struct TrainingCheckpoint: Sendable {
    public let path: String
    public let step: Int
    let state: JSONObject

    static let stateFile = "state.json"

    // MARK: Finding

    /// The checkpoints of a folder, oldest first; what was not finished has another name.
    public static func all(in folder: String) -> [TrainingCheckpoint] {
        var found: [TrainingCheckpoint] = []
        for name in FilePath.entries(folder) {
            guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)) else { continue }
            let path = "\(folder)/\(name)"
            guard let file = try? Storage.mapping("\(path)/\(stateFile)"),
                let json = try? JSONValue(
                    parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount))),
                let state = json.object
            else { continue }
            found.append(TrainingCheckpoint(path: path, step: step, state: state))
        }
        return found.sorted { $0.step < $1.step }
    }

    // MARK: Writing

    /// Writes the trainer's state into `folder/step-N`.
    ///
    /// - Parameter notes: what the run itself keeps: its best loss, say.
    @discardableResult
    public static func write(
        _ trainer: Trainer, run: JSONObject, notes: JSONObject, into folder: String
    ) throws -> TrainingCheckpoint {
        try trainer.verifyMasks()
        let digits = String(trainer.step)
        let path = "\(folder)/step-" + String(repeating: "0", count: max(6 - digits.count, 0)) + digits
        let output = try AtomicOutput(path, .folder, overwrite: true, mark: stateFile)
        func write(_ name: String, _ tensors: [(name: String, tensor: Tensor)]) throws {
            try SafetensorsFile.write(tensors, to: "\(output.partialPath)/\(name)", overwrite: false)
        }
        // Masters are written from where they are; a copy of them all would double the run's memory.
        try SafetensorsFile.write(
            trainer.parameters.map(\.name), to: "\(output.partialPath)/masters.safetensors"
        ) { index in trainer.parameters[index].tensor }
        try writeOptimizer(trainer.optimizer, to: "\(output.partialPath)/optimizer.safetensors")
        try write(
            "masks.safetensors",
            trainer.parameters.compactMap { parameter in
                parameter.mask.map { mask in
                    let shape = [mask.rows, mask.rowBytes]
                    return (parameter.name, Tensor(dtype: .u8, shape: shape, bytes: mask.bytes))
                }
            })
        let state = JSONObject([
            ("step", .integer(Int64(trainer.step))), ("tokens", .integer(Int64(trainer.tokens))),
            ("data", trainer.data.position), ("run", .object(run)), ("notes", .object(notes)),
        ])
        try OutputFile.write(
            JSONValue.object(state).text(indent: 2) + "\n", to: "\(output.partialPath)/\(stateFile)")
        try output.commit()
        return TrainingCheckpoint(path: path, step: trainer.step, state: state)
    }

    /// The optimizer's state, a parameter at a time: a copy of it all would be twice the model.
    private static func writeOptimizer(_ optimizer: ModelOptimizer, to path: String) throws {
        var names: [String] = []
        var places: [(state: Int, part: Int)] = []
        for (index, state) in optimizer.states.enumerated() {
            for (part, name) in state.tensorNames.enumerated() {
                names.append("\(optimizer.names[index]).\(name)")
                places.append((index, part))
            }
        }
        try SafetensorsFile.write(names, to: path) { place in
            let (state, part) = places[place]
            return optimizer.states[state].tensors()[part].tensor
        }
    }

    /// Removes all but the newest checkpoints of a folder.
    public static func removeOld(in folder: String, keeping count: Int) {
        for old in all(in: folder).dropLast(max(count, 1)) { AtomicOutput.remove(old.path) }
    }

    // MARK: Going on

    /// What the run kept beside its tensors.
    public var notes: JSONObject { state["notes"]?.object ?? JSONObject() }

    /// Puts a trainer, set up as it was when the run began, where it was when this was written.
    ///
    /// - Parameter run: what this run is; another one's checkpoint is refused.
    /// - Throws: ``TrainingError``, ``OptimizerError``, `SafetensorsError`; the trainer is of no use then.
    public func restore(_ trainer: Trainer, run: JSONObject) throws {
        let stored = state["run"]?.object ?? JSONObject()
        if let difference = JSONValue.object(run).firstDifference(from: .object(stored)) {
            throw TrainingError.otherRun(folder: path, what: difference)
        }
        let masters = try SafetensorsFile("\(path)/masters.safetensors")
        let masks = try SafetensorsFile("\(path)/masks.safetensors")
        let states = try SafetensorsFile("\(path)/optimizer.safetensors")
        for (index, parameter) in trainer.parameters.enumerated() {
            guard let tensor = masters[parameter.name], tensor.dtype == .f32, tensor.shape == parameter.shape
            else {
                throw TrainingError.damagedCheckpoint(
                    folder: path,
                    reason: "\(parameter.name) of shape \(parameter.shape) is not in masters.safetensors")
            }
            UnsafeMutableRawBufferPointer(parameter.values).copyMemory(from: tensor.bytes.bytes)
            guard let bits = masks[parameter.name] else { continue }
            guard let mask = SparsityMask(rows: parameter.rows, columns: parameter.columns, stored: bits)
            else {
                throw TrainingError.damagedCheckpoint(
                    folder: path, reason: "the mask of \(parameter.name) is not one of \(parameter.shape)")
            }
            parameter.setMask(mask)
            trainer.optimizer.adopt(mask, for: index)
        }
        try trainer.optimizer.restore { states[$0] }
        guard let step = state["step"]?.integer, let tokens = state["tokens"]?.integer, step >= 0,
            let position = state["data"], trainer.data.seek(position)
        else {
            throw TrainingError.damagedCheckpoint(
                folder: path, reason: "state.json lacks its step or position")
        }
        trainer.step = step
        trainer.tokens = tokens
        try trainer.verifyMasks()
    }
}

extension JSONValue {
    /// The first thing, in the order of this value's keys, that another has differently; the order itself is
    /// nothing.
    fileprivate func firstDifference(from other: JSONValue?, at place: String = "") -> String? {
        if let own = object, let theirs = other?.object {
            for (key, value) in own.pairs {
                let path = place.isEmpty ? key : "\(place).\(key)"
                if let difference = value.firstDifference(from: theirs[key], at: path) { return difference }
            }
            guard let extra = theirs.keys.first(where: { own[$0] == nil }) else { return nil }
            return "its \(place.isEmpty ? extra : "\(place).\(extra)") is not a setting of this one"
        }
        guard other?.text(sortedKeys: true) != text(sortedKeys: true) else { return nil }
        return "its \(place) is \(other?.text(sortedKeys: true) ?? "missing"), not \(text(sortedKeys: true))"
    }
}
