import Testing
import WinnowIO
import WinnowJSON

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
            "M/config.json: quantization 'gptq' is not supported; use the unquantized folder, or a GGUF file in "
                + "Q4_0, Q4_1 or Q8_0", config("quantization_config", ["quant_method": "gptq"]))
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
                + "in GGUF files, BPE, Unigram and WordPiece else", tokenizer { $0["model"] = ["type": "WordLevel"] })
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
