import WinnowCore

/// Files and folders of kinds that Winnow does not open, each with one line that says what it is and what to
/// do.
enum ForeignFiles {
    /// What a file is, by its first bytes or else its name; nil when nothing is known of it.
    static func refusal(_ path: String, start: UnsafeRawBufferPointer) -> CheckpointError? {
        let (folder, name) = FilePath.split(path)
        func foreign(_ kind: String, _ advice: String) -> CheckpointError {
            .foreignFile(path: path, kind: kind, advice: advice)
        }
        let isZip = start.starts(with: [0x50, 0x4B, 0x03, 0x04])
        if name.hasSuffix(".npz") || name.hasSuffix(".npy") || start.starts(with: [0x93, 0x4E, 0x55, 0x4D]) {
            return foreign(
                "NumPy arrays", "save the tensors of the model as a Hugging Face folder with safetensors")
        }
        if isZip || start.count > 1 && start[0] == 0x80 && (2...5).contains(start[1]) {
            return pickle(folder, name)
        }
        if name.hasSuffix(".onnx") {
            return foreign("an ONNX graph", "use the Hugging Face folder that it was exported from")
        }
        if start.starts(with: [0x89, 0x48, 0x44, 0x46]) || name.hasSuffix(".h5") {
            return foreign("TensorFlow weights", resaving(folder, "from_tf=True"))
        }
        if name.hasSuffix(".msgpack") {
            return foreign("Flax weights", resaving(folder, "from_flax=True"))
        }
        let old = ["lmgg", "fmgg", "tjgg", "algg"]
        if old.contains(where: { start.starts(with: $0.utf8) }) {
            return foreign(
                "a file of llama.cpp from before GGUF", "convert the model again with a newer llama.cpp")
        }
        return nil
    }

    /// What a folder without weights of ours is; nil when nothing is known of it.
    static func refusal(folder path: String) -> CheckpointError? {
        let entries = FilePath.entries(path)
        func first(_ endings: String...) -> String? {
            entries.first { entry in endings.contains { entry.hasSuffix($0) } }
        }
        if entries.contains("adapter_config.json") {
            let json = try? JSONFile.object("\(path)/adapter_config.json")
            let base = json?["base_model_name_or_path"]?.string ?? "the model it was made for"
            return .foreignFile(
                path: path, kind: "an adapter for \(base), not a model",
                advice: "merge it first: python -c \"from peft import AutoPeftModelForCausalLM as M; "
                    + "M.from_pretrained('\(path)').merge_and_unload().save_pretrained('\(path)-merged')\"")
        }
        if let file = first(".bin", ".bin.index.json", ".pt", ".pth", ".ckpt") { return pickle(path, file) }
        for ending in [".onnx", ".npz", ".h5", ".msgpack"] {
            guard let file = first(ending) else { continue }
            return refusal("\(path)/\(file)", start: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        return nil
    }

    private static func pickle(_ folder: String, _ file: String) -> CheckpointError {
        if FilePath.exists("\(folder)/config.json") { return .pickle(folder: folder, file: file) }
        if FilePath.exists("\(folder)/params.json") {
            return .foreignFile(
                path: "\(folder)/\(file)",
                kind: "a Python pickle of Meta's own layout, which can run code when read",
                advice: "convert it first: python -m transformers.models.llama.convert_llama_weights_to_hf "
                    + "--input_dir '\(folder)' --output_dir '\(folder)-hf'")
        }
        return .foreignFile(
            path: "\(folder)/\(file)",
            kind: "a Python pickle without the config.json of a model; a pickle can run code when read",
            advice: "put it beside its config.json and tokenizer.json, then: python -c \"import torch; "
                + "from safetensors.torch import save_file as s; t = torch.load('\(file)', weights_only=True); "
                + "s({k: v.clone() for k, v in t.items()}, 'model.safetensors')\"")
    }

    private static func resaving(_ folder: String, _ option: String) -> String {
        "convert them first, with a transformers before 5: python -c \"from transformers import AutoModelForCausalLM as M; "
            + "M.from_pretrained('\(folder)', \(option)).save_pretrained('\(folder)')\""
    }
}
