import Glibc
import WinnowTestKit

/// A model that takes a while to write: one wide block in float32, 54 MB of zeros in a file with a hole.
enum WideModel {
    private static let width = 512
    private static let feedForwardWidth = 8192

    static func write(to folder: String) throws {
        mkdir(folder, 0o755)
        try TinyModel.copy(to: folder) { name, text in
            guard name == "config.json" else { return text }
            return text.replacing("\"hidden_size\": 32", with: "\"hidden_size\": \(width)")
                .replacing("\"intermediate_size\": 64", with: "\"intermediate_size\": \(feedForwardWidth)")
                .replacing("\"num_hidden_layers\": 2", with: "\"num_hidden_layers\": 1")
                .replacing("\"head_dim\": 8", with: "\"head_dim\": \(width / 4)")
        }
        let block = "model.layers.0."
        let tensors: [(String, [Int])] = [
            ("lm_head.weight", [288, width]), ("model.embed_tokens.weight", [288, width]),
            (block + "input_layernorm.weight", [width]), (block + "post_attention_layernorm.weight", [width]),
            (block + "self_attn.q_proj.weight", [width, width]),
            (block + "self_attn.k_proj.weight", [width / 2, width]),
            (block + "self_attn.v_proj.weight", [width / 2, width]),
            (block + "self_attn.o_proj.weight", [width, width]),
            (block + "mlp.gate_proj.weight", [feedForwardWidth, width]),
            (block + "mlp.up_proj.weight", [feedForwardWidth, width]),
            (block + "mlp.down_proj.weight", [width, feedForwardWidth]), ("model.norm.weight", [width]),
        ]
        var end = 0
        let entries = tensors.map { name, shape in
            let begin = end
            end += shape.reduce(4, *)
            return "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let path = "\(folder)/model.safetensors"
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        try TemporaryFolder.write(length + header, to: path)
        truncate(path, 8 + header.count + end)
    }
}
