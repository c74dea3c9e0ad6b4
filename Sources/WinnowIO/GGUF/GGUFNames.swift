/// GGUF's names for the tensors of a plain Llama, against Hugging Face's.
enum GGUFNames {
    private static let outside: [(gguf: String, huggingFace: String)] = [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
    ]

    private static let inside: [(gguf: String, huggingFace: String)] = [
        ("attn_norm.weight", "input_layernorm.weight"),
        ("attn_q.weight", "self_attn.q_proj.weight"),
        ("attn_k.weight", "self_attn.k_proj.weight"),
        ("attn_v.weight", "self_attn.v_proj.weight"),
        ("attn_output.weight", "self_attn.o_proj.weight"),
        ("ffn_norm.weight", "post_attention_layernorm.weight"),
        ("ffn_gate.weight", "mlp.gate_proj.weight"),
        ("ffn_up.weight", "mlp.up_proj.weight"),
        ("ffn_down.weight", "mlp.down_proj.weight"),
    ]

    /// The Hugging Face key of a GGUF name; nil when a plain Llama has no such tensor.
    static func huggingFace(_ name: String) -> String? {
        if let row = outside.first(where: { $0.gguf == name }) { return row.huggingFace }
        let parts = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "blk", let layer = number(parts[1]),
            let row = inside.first(where: { $0.gguf == parts[2] })
        else { return nil }
        return "model.layers.\(layer).\(row.huggingFace)"
    }

    /// The GGUF name of a Hugging Face key; nil when a plain Llama has no such tensor.
    static func gguf(_ name: String) -> String? {
        if let row = outside.first(where: { $0.huggingFace == name }) { return row.gguf }
        let parts = name.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "model", parts[1] == "layers", let layer = number(parts[2]),
            let row = inside.first(where: { $0.huggingFace == parts[3] })
        else { return nil }
        return "blk.\(layer).\(row.gguf)"
    }

    /// A number in its only spelling, so that no two names mean one tensor.
    private static func number(_ text: Substring) -> Int? {
        guard let value = Int(text), value >= 0, "\(value)" == text else { return nil }
        return value
    }
}
