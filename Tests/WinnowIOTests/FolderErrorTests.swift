import Testing
import WinnowIO
import WinnowJSON
import WinnowText

/// Folders that are not quite models, by the error they get.
@Suite struct FolderErrorTests {
    /// A copy of a fixture, changed, then opened.
    static func open(_ fixture: String, _ change: (String) throws -> Void) throws {
        try Fixture.withCopy(of: fixture) { folder in
            try change(folder)
            do { _ = try Checkpoint.open(folder) } catch let error as CheckpointError {
                throw Message(text: error.description.replacing(folder, with: "M"))
            }
        }
    }

    static func expect(_ message: String, in fixture: String = "untied", _ change: (String) throws -> Void) {
        #expect(throws: Message(text: message)) { try open(fixture, change) }
    }

    static func edit(_ path: String, _ change: (inout JSONObject) -> Void) throws {
        var object = try #require(try JSONValue(parsing: Fixture.bytes(path)).object)
        change(&object)
        try Fixture.write(Array(JSONValue.object(object).text().utf8), to: path)
    }

    static func config(_ key: String, _ value: JSONValue?) -> (String) throws -> Void {
        { try edit("\($0)/config.json") { $0[key] = value } }
    }

    @Test func missingFiles() {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            FolderErrorTests.expect("M: \(file) is missing; is the download complete?") {
                Fixture.removeFile("\($0)/\(file)")
            }
        }
        FolderErrorTests.expect(
            "M: model-00002-of-00005.safetensors named by the index is missing; is the download complete?",
            in: "tied"
        ) { Fixture.removeFile("\($0)/model-00002-of-00005.safetensors") }
        FolderErrorTests.expect(
            "M: the weights are a Python pickle (pytorch_model.bin), which can run code when read; convert them "
                + "first: python -c \"from transformers import AutoModelForCausalLM as M; "
                + "M.from_pretrained('M').save_pretrained('M', safe_serialization=True)\""
        ) { folder in
            Fixture.removeFile("\(folder)/model.safetensors")
            try Fixture.write([0x80, 0x02], to: "\(folder)/pytorch_model.bin")
        }
    }

    /// Tokens without a row in the model: refused when text can become them, left out when they were added.
    @Test func tokenizersOfOtherModels() throws {
        func vocabulary(_ change: @escaping (inout JSONObject) -> Void) -> (String) throws -> Void {
            { try FolderErrorTests.edit("\($0)/tokenizer.json", change) }
        }
        FolderErrorTests.expect(
            "M: the tokenizer has 290 tokens, the model rows for 288, and none for 'zq'; they do not belong together",
            vocabulary { json in
                var model = json["model"]?.object ?? JSONObject()
                var tokens = model["vocab"]?.object ?? JSONObject()
                tokens["zq"] = 288
                tokens["zx"] = 289
                model["vocab"] = .object(tokens)
                json["model"] = .object(model)
            })
        try Fixture.withCopy(of: "untied") { folder in
            try FolderErrorTests.edit("\(folder)/tokenizer.json") { json in
                let image: JSONValue = ["id": 288, "content": "<image>", "special": true]
                json["added_tokens"] = .array((json["added_tokens"]?.array ?? []) + [image])
            }
            let opened = try Checkpoint.open(folder)
            #expect(opened.tokenizer.tokens.count == 288)
            #expect(!opened.tokenizer.addedTokens.contains { $0.content == "<image>" })
        }
    }

    /// A folder whose tokenizer is SentencePiece's or tiktoken's own file.
    @Test func tokenizerModels() throws {
        let fixture = try JSONValue(
            parsing: Fixture.bytes("\(Fixture.path("untied"))/../../tokenizers/spm-words.json"))
        let model = try #require(Base64.decode(fixture["model"]?.string ?? ""))
        try Fixture.withCopy(of: "untied") { folder in
            Fixture.removeFile("\(folder)/tokenizer.json")
            Fixture.removeFile("\(folder)/tokenizer_config.json")
            try Fixture.write(model, to: "\(folder)/tokenizer.model")
            let opened = try Checkpoint.open(folder)
            #expect(opened.tokenizer.model == .characterBPE)
            let tokenizer = try Tokenizer(opened.tokenizer)
            for entry in fixture["cases"]?.array ?? [] {
                let ids = entry["ids"]?.array?.map { TokenID($0.integer ?? -1) }
                #expect(tokenizer.encode(entry["text"]?.string ?? "", special: .asText) == ids)
            }
        }
        FolderErrorTests.expect(
            "M/tokenizer.model: tokenizer.model is damaged: field 1 of 99 bytes, where 1 are left before byte 2; "
                + "get the model's files again"
        ) { folder in
            Fixture.removeFile("\(folder)/tokenizer.json")
            try Fixture.write([0x0A, 99, 0x0A], to: "\(folder)/tokenizer.model")
        }
        FolderErrorTests.expect(
            "M/tiktoken.model: pre-tokenizer 'of a rank file for the model type 'llama'' is not supported; known are "
                + PreTokenizer.all.compactMap(\.name).joined(separator: ", ")
        ) { folder in
            Fixture.removeFile("\(folder)/tokenizer.json")
            try Fixture.write(Array("YQ== 0\n".utf8), to: "\(folder)/tiktoken.model")
        }
    }

    @Test func indexes() {
        func index(_ change: @escaping (inout JSONObject) -> Void) -> (String) throws -> Void {
            { try FolderErrorTests.edit("\($0)/model.safetensors.index.json", change) }
        }
        FolderErrorTests.expect(
            "M/model.safetensors.index.json: 'weight_map' is missing; expected an object of tensors and their files",
            in: "tied", index { $0["weight_map"] = nil })
        FolderErrorTests.expect(
            "M/model.safetensors.index.json: weight_map names '../x.safetensors'; a shard is a file in the same folder",
            in: "tied", index { $0["weight_map"] = ["model.norm.weight": "../x.safetensors"] })
        FolderErrorTests.expect(
            "M/model.safetensors.index.json: weight_map names '7'; a shard is a file in the same folder",
            in: "tied",
            index { $0["weight_map"] = ["model.norm.weight": 7] })
        FolderErrorTests.expect(
            "M/model-00001-of-00005.safetensors: tensor lm_head.bias is missing; is the file complete, and does its "
                + "configuration belong to it?", in: "tied",
            index {
                var map = $0["weight_map"]?.object ?? JSONObject()
                map["lm_head.bias"] = "model-00001-of-00005.safetensors"
                $0["weight_map"] = .object(map)
            })
    }

    @Test func configurations() {
        let config = FolderErrorTests.config
        FolderErrorTests.expect(
            "M/config.json: architecture 'mamba' is not supported; supported: llama, mistral, mixtral, qwen2, qwen3, "
                + "qwen2_moe, qwen3_moe, gemma, gemma2, gemma3_text, phi3, gpt2, opt, gpt_neox, starcoder2, olmo2, granite, "
                + "stablelm, bert, roberta, xlm-roberta, camembert, mpnet, modernbert, vit",
            config("model_type", "mamba"))
        FolderErrorTests.expect(
            "M: attention with heads of 512 columns is not supported; use a model whose heads have 256 at most",
            config("head_dim", 512))
        FolderErrorTests.expect(
            "M/config.json: 'intermediate_size' is [64]; expected a whole number from 1 to 1048576, or one for each of "
                + "the 2 layers", config("intermediate_size", [64]))
        FolderErrorTests.expect(
            "M/config.json: 'hidden_size' is missing; expected a whole number from 1 to 1048576",
            config("hidden_size", nil))
        FolderErrorTests.expect(
            "M/config.json: 'num_attention_heads' is 0; expected a whole number from 1 to 65536",
            config("num_attention_heads", 0))
        FolderErrorTests.expect(
            "M/config.json: 'num_hidden_layers' is 9.223372036854776e+18; expected a whole number from 1 to 65536",
            config("num_hidden_layers", .number(0x1p63)))
        FolderErrorTests.expect(
            "M/config.json: 'num_key_value_heads' is 3; expected a divisor of num_attention_heads (4)",
            config("num_key_value_heads", 3))
        FolderErrorTests.expect(
            "M/config.json: 'rms_norm_eps' is \"small\"; expected a number from 0.0 to 1.0",
            config("rms_norm_eps", "small"))
        FolderErrorTests.expect(
            "M/config.json: 'mlp_bias': true is not supported; use a model without biases in its feed-forward layers",
            config("mlp_bias", true))
        FolderErrorTests.expect(
            "M: tensor model.layers.0.self_attn.q_proj.bias is missing; is the file complete, and does its "
                + "configuration belong to it?", config("attention_bias", true))
        FolderErrorTests.expect(
            "M/config.json (rope_scaling): 'low_freq_factor' is missing; expected a number for rope scaling 'llama3'",
            config("rope_scaling", ["rope_type": "llama3", "factor": 8]))
        FolderErrorTests.expect(
            "M/config.json (rope_scaling): rope scaling 'mrope' is not supported; use a model with linear, dynamic, "
                + "llama3, yarn, longrope or no scaling", config("rope_scaling", ["type": "mrope"]))
        FolderErrorTests.expect(
            "M/config.json (rope_scaling): 'short_factor' is missing; expected 4 positive numbers, one for each pair "
                + "of a head",
            config("rope_scaling", ["type": "longrope", "original_max_position_embeddings": 8]))
        FolderErrorTests.expect(
            "M/config.json (quantization_config): 'bits' is missing; expected a whole number from 1 to 8",
            config("quantization_config", ["quant_method": "gptq"]))
        FolderErrorTests.expect(
            "M/config.json: unexpected 'x' at byte 0; is the file damaged?"
        ) { try Fixture.write(Array("x".utf8), to: "\($0)/config.json") }
        FolderErrorTests.expect(
            "M: tensor model.embed_tokens.weight is [288, 32], but the configuration asks for [300, 32]",
            config("vocab_size", 300))
        FolderErrorTests.expect(
            "M: tensor model.layers.2.input_layernorm.weight is missing; is the file complete, and does its "
                + "configuration belong to it?", config("num_hidden_layers", 3))
        FolderErrorTests.expect(
            "M: tensor model.layers.1.input_layernorm.weight has no place in a model of its architecture; this variant "
                + "is not supported", config("num_hidden_layers", 1))
    }

    /// Methods that are not read, each with what to do instead.
    @Test func quantizations() {
        func expect(_ message: String, _ settings: JSONValue) {
            FolderErrorTests.expect(
                "M/config.json (quantization_config): \(message)",
                FolderErrorTests.config("quantization_config", settings))
        }
        expect(
            "quantization 'bitsandbytes' is not supported; its codes need that library: load it with transformers, call "
                + "model.dequantize(), save_pretrained it, and open that folder",
            ["quant_method": "bitsandbytes", "load_in_4bit": true])
        let others = "use the unquantized folder, a GGUF file, or one of gptq, awq, fp8 and compressed-tensors"
        expect("quantization 'hqq' is not supported; \(others)", ["quant_method": "hqq"])
        expect(
            "quantization 'nvfp4-pack-quantized' is not supported; \(others)",
            ["quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"])
        expect(
            "quantization 'marlin-24' is not supported; its codes are in the order of a GPU kernel: use the checkpoint "
                + "it was made from", ["quant_method": "compressed-tensors", "format": "marlin-24"])
        expect(
            "quantization 'awq, version gemv' is not supported; \(others)",
            ["quant_method": "awq", "bits": 4, "version": "GEMV"])
        expect("'bits' is 8; expected 4", ["quant_method": "awq", "bits": 8])
        expect("'bits' is 5; expected 2, 3, 4 or 8", ["quant_method": "gptq", "bits": 5])
        expect(
            "GPTQ in the format 'marlin' is not supported; use a checkpoint in the format gptq or gptq_v2",
            ["quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"])
        expect(
            "'weight_block_size' is [128]; expected two numbers from 1 to 2147483648",
            ["quant_method": "fp8", "weight_block_size": [128]])
        expect(
            "'weight_block_size' is [9223372036854775807,1]; expected two numbers from 1 to 2147483648",
            ["quant_method": "fp8", "weight_block_size": [.integer(.max), 1]])
        FolderErrorTests.expect(
            "M/config.json: 'quantization_config' is 4; expected an object", FolderErrorTests.config("quantization_config", 4))
    }

    /// Weights and folders of other kinds.
    @Test func otherKinds() throws {
        func expect(_ message: String, _ change: (String) throws -> Void) throws {
            try Fixture.withFolder { folder in
                try change(folder)
                let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder) }
                #expect(error?.description.replacing(folder, with: "M") == message)
            }
        }
        try expect(
            "M: an adapter for org/base, not a model; merge it first: python -c \"from peft import "
                + "AutoPeftModelForCausalLM as M; M.from_pretrained('M').merge_and_unload().save_pretrained('M-merged')\""
        ) {
            try Fixture.write(
                Array(#"{"base_model_name_or_path": "org/base"}"#.utf8), to: "\($0)/adapter_config.json")
        }
        try expect("M/model.onnx: an ONNX graph; use the Hugging Face folder that it was exported from") {
            try Fixture.write([8, 7], to: "\($0)/model.onnx")
        }
        try expect(
            "M/weights.npz: NumPy arrays; save the tensors of the model as a Hugging Face folder with safetensors"
        ) { try Fixture.write([], to: "\($0)/weights.npz") }
        try expect(
            "M/consolidated.00.pth: a Python pickle of Meta's own layout, which can run code when read; convert it "
                + "first: python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir 'M' "
                + "--output_dir 'M-hf'"
        ) {
            try Fixture.write([0x50, 0x4B, 3, 4], to: "\($0)/consolidated.00.pth")
            try Fixture.write(Array("{}".utf8), to: "\($0)/params.json")
        }
        let lone =
            "a Python pickle without the config.json of a model; a pickle can run code when read; put it beside its "
            + "config.json and tokenizer.json, then: python -c \"import torch; from safetensors.torch import save_file as "
            + "s; t = torch.load('model.pt', weights_only=True); s({k: v.clone() for k, v in t.items()}, "
            + "'model.safetensors')\""
        try expect("M/model.pt: \(lone)") { try Fixture.write([0x80, 4], to: "\($0)/model.pt") }
        try Fixture.withFolder { folder in
            for (bytes, name, message) in [
                ([0x50, 0x4B, 3, 4], "model.pt", lone),
                ([0x80, 3, 0x7D], "model.pt", lone),
                ([0x93, 0x4E, 0x55, 0x4D], "a.npy",
                    "NumPy arrays; save the tensors of the model as a Hugging Face folder with safetensors"),
                ([0x50, 0x4B, 3, 4], "a.npz",
                    "NumPy arrays; save the tensors of the model as a Hugging Face folder with safetensors"),
                ([8], "a.onnx", "an ONNX graph; use the Hugging Face folder that it was exported from"),
                (Array("tjgg".utf8), "a.bin",
                    "a file of llama.cpp from before GGUF; convert the model again with a newer llama.cpp"),
            ] as [([UInt8], String, String)] {
                let path = "\(folder)/\(name)"
                try Fixture.write(bytes, to: path)
                let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
                #expect(error?.description == "\(path): \(message)")
            }
        }
    }

    @Test func wrongTypes() {
        FolderErrorTests.expect(
            "M/model.safetensors: tensor model.norm.weight has type I16; F32, F16 and BF16 can be run: convert it first"
        ) { folder in
            let path = "\(folder)/model.safetensors"
            var bytes = try Fixture.bytes(path)
            let name = Array("model.norm.weight\":{\"dtype\":\"BF16\"".utf8)
            let at = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
            bytes.replaceSubrange(
                at..<at + name.count, with: Array("model.norm.weight\":{\"dtype\":\"I16\" ".utf8))
            try Fixture.write(bytes, to: path)
        }
    }

    @Test func tokenizers() {
        func tokenizer(_ change: @escaping (inout JSONObject) -> Void) -> (String) throws -> Void {
            { try FolderErrorTests.edit("\($0)/tokenizer.json", change) }
        }
        FolderErrorTests.expect(
            "M/tokenizer.json: the tokenizer has no model (expected an object in tokenizer.json); get the model's "
                + "files again", tokenizer { $0["model"] = nil })
        FolderErrorTests.expect(
            "M/tokenizer.json: tokenizer model 'WordLevel' is not supported; known are gpt2, llama, gemma4, t5 and bert "
                + "in GGUF files, BPE, Unigram and WordPiece else",
            tokenizer { $0["model"] = ["type": "WordLevel"] })
        FolderErrorTests.expect(
            "M/tokenizer.json: normalizer is 'NFKC', which is not supported and would change token ids",
            tokenizer { $0["normalizer"] = ["type": "NFKC"] })
        FolderErrorTests.expect(
            "M/tokenizer.json: merge 0, 'q q', needs the token 'qq', which the vocabulary does not have",
            tokenizer {
                var model = $0["model"]?.object ?? JSONObject()
                model["merges"] = ["q q"]
                $0["model"] = .object(model)
            })
    }

    @Test func otherPaths() throws {
        #expect(
            throws: CheckpointError.notAModel(
                path: Fixture.path("untied/config.json"),
                reason: "a file of a model folder, not a model (try \(Fixture.path("untied")))")
        ) { try Checkpoint.open(Fixture.path("untied/config.json")) }
        try Fixture.withFolder { folder in
            try Fixture.write(Array("hello, this is a text".utf8), to: "\(folder)/a.txt")
            #expect(throws: CheckpointError.notAModel(path: "\(folder)/a.txt", reason: "not a GGUF file")) {
                try Checkpoint.open("\(folder)/a.txt")
            }
            try Fixture.write([], to: "\(folder)/empty.gguf")
            #expect(throws: (any Error).self) { try Checkpoint.open("\(folder)/empty.gguf") }
            #expect(throws: CheckpointError.missingFile(folder: folder, file: "config.json")) {
                Fixture.removeFile("\(folder)/empty.gguf")
                _ = try Checkpoint.open(folder)
            }
        }
    }
}

/// An error's description, the folder called M.
struct Message: Error, Equatable {
    let text: String
}
