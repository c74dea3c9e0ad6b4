import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels

extension LowRankAdapter {
    /// Writes a folder that PEFT opens: `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// - Parameter base: what the adapter is for, as a name.
    public func write(
        to path: String, base: String, configuration shape: ModelConfiguration, overwrite: Bool
    ) throws {
        let output = try AtomicOutput(path, .folder, overwrite: overwrite, mark: "adapter_config.json")
        var tensors: [(name: String, tensor: Tensor)] = []
        for pair in pairs {
            tensors.append((pair.down.name, pair.down.tensor))
            var up = pair.up.tensor
            // Rows of rotary heads as a folder has them.
            if let order = shape.writtenRowOrder(of: pair.name) { up = up.takingRows(order) }
            tensors.append((pair.up.name, up))
        }
        try SafetensorsFile.write(
            tensors, to: "\(output.partialPath)/adapter_model.safetensors", overwrite: false)
        let targets =
            configuration.targets == ["all-linear"]
            ? Array(Set(pairs.compactMap { $0.name.split(separator: ".").dropLast().last.map(String.init) }))
                .sorted()
            : configuration.targets
        let config: JSONValue = [
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": .string(base),
            "r": .integer(Int64(configuration.rank)), "lora_alpha": .number(configuration.alpha),
            "target_modules": .array(targets.map { .string($0) }),
            "use_rslora": .bool(configuration.isRankStabilised), "lora_dropout": .number(0), "bias": "none",
            "fan_in_fan_out": .bool(shape.family.transposesLinears), "inference_mode": true,
        ]
        try OutputFile.write(config.text(indent: 2) + "\n", to: "\(output.partialPath)/adapter_config.json")
        try output.commit()
    }

    /// Reads such a folder for a model.
    ///
    /// - Throws: ``AdapterError`` for what this does not do, or for tensors that do not fit the model.
    public convenience init(reading path: String, for model: LanguageModel) throws {
        let file = try Storage.mapping("\(path)/adapter_config.json")
        let bytes = Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount))
        guard let config = try? JSONValue(parsing: bytes), config["peft_type"]?.string == "LORA" else {
            throw AdapterError.unsupported(folder: path, what: "a peft_type other than LORA")
        }
        for (key, empty) in [("use_dora", false), ("lora_bias", false)]
        where config[key]?.bool ?? empty != empty {
            throw AdapterError.unsupported(folder: path, what: key)
        }
        for key in ["rank_pattern", "alpha_pattern"] where (config[key]?.object?.count ?? 0) > 0 {
            throw AdapterError.unsupported(folder: path, what: key)
        }
        if let bias = config["bias"]?.string, bias != "none" {
            throw AdapterError.unsupported(folder: path, what: "biases of adapters (bias: \(bias))")
        }
        guard let rank = config["r"]?.integer, rank > 0, let alpha = config["lora_alpha"]?.number, alpha > 0
        else {
            throw AdapterError.unsupported(folder: path, what: "an adapter without r and lora_alpha")
        }
        var own = LowRankConfiguration()
        own.rank = rank
        own.alpha = alpha
        own.isRankStabilised = config["use_rslora"]?.bool ?? false
        own.targets =
            config["target_modules"]?.array?.compactMap(\.string)
            ?? config["target_modules"]?.string.map { [$0] } ?? []
        let tensors = try SafetensorsFile("\(path)/adapter_model.safetensors")
        var unused = Set(tensors.names)
        var pairs: [LowRankAdapter.Pair] = []
        for linear in LowRankAdapter.linears(of: model) {
            let module = linear.name.hasSuffix(".weight") ? String(linear.name.dropLast(7)) : linear.name
            let names = ["A", "B"].map { "base_model.model.\(module).lora_\($0).weight" }
            guard let down = tensors[names[0]], let up = tensors[names[1]] else { continue }
            let matrix = linear.matrix
            guard down.shape == [rank, matrix.columns], up.shape == [matrix.rows, rank],
                let downs = down.floats(), var ups = up.floats()
            else {
                throw AdapterError.misfit(
                    folder: path, tensor: names[0],
                    reason: "A \(down.shape) and B \(up.shape) for [\(matrix.rows), \(matrix.columns)]")
            }
            if let order = model.configuration.writtenRowOrder(of: linear.name) {
                let written = ups
                for (index, source) in order.enumerated() {
                    for column in 0..<rank { ups[source * rank + column] = written[index * rank + column] }
                }
            }
            pairs.append(
                Pair(
                    name: linear.name, rank: rank, outputs: matrix.rows, inputs: matrix.columns, down: downs,
                    up: ups))
            unused.subtract(names)
        }
        if let other = unused.min() {
            throw AdapterError.misfit(folder: path, tensor: other, reason: "the model has no such linear")
        }
        guard !pairs.isEmpty else {
            throw AdapterError.unsupported(folder: path, what: "an adapter without tensors")
        }
        self.init(own, pairs)
    }
}

extension Tensor {
    /// Rows of a float32 matrix in another order.
    fileprivate func takingRows(_ order: [Int]) -> Tensor {
        let rowBytes = bytes.byteCount / shape[0]
        let storage = Storage(byteCount: bytes.byteCount) { out in
            for (index, source) in order.enumerated() {
                UnsafeMutableRawBufferPointer(rebasing: out[index * rowBytes..<(index + 1) * rowBytes])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: bytes.bytes[source * rowBytes..<(source + 1) * rowBytes]))
            }
        }
        return Tensor(dtype: dtype, shape: shape, bytes: StorageSlice(storage))
    }
}

/// Why an adapter is not for us, or not for this model.
public enum AdapterError: Error, Equatable, Sendable, CustomStringConvertible {
    case unsupported(folder: String, what: String)
    case misfit(folder: String, tensor: String, reason: String)

    public var description: String {
        switch self {
        case .unsupported(let folder, let what):
            "\(folder) has \(what), which is not supported: plain LoRA only"
        case .misfit(let folder, let tensor, let reason):
            "\(folder): \(tensor) does not fit the model (\(reason)): is it for another base?"
        }
    }
}
