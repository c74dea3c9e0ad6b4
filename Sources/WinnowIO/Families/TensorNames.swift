/// The names that a family's tensors have in folders and in GGUF files.
package struct TensorNames: Sendable {
    package struct Row: Sendable {
        let role: TensorRole
        /// Inside a block what follows ``TensorNames/blockPrefix`` and the block's number.
        let huggingFace: String
        /// Inside a block what follows `blk.N.`.
        let gguf: String
    }

    /// What stands before a block's number in Hugging Face keys: `model.layers.`.
    let blockPrefix: String
    let rows: [Row]

    init(blockPrefix: String, _ rows: [(TensorRole, String, String)]) {
        self.blockPrefix = blockPrefix
        self.rows = rows.map { Row(role: $0.0, huggingFace: $0.1, gguf: $0.2) }
    }

    /// The same names but for some roles.
    func replacing(_ changes: [(TensorRole, String, String)]) -> TensorNames {
        let changed = changes.map(\.0)
        let kept = rows.filter { !changed.contains($0.role) }.map { ($0.role, $0.huggingFace, $0.gguf) }
        return TensorNames(blockPrefix: blockPrefix, kept + changes)
    }

    /// The Hugging Face key of a role; nil when the family has no such tensor.
    package func huggingFace(_ role: TensorRole, layer: Int?) -> String? {
        guard let row = rows.first(where: { $0.role == role }) else { return nil }
        return layer.map { "\(blockPrefix)\($0).\(row.huggingFace)" } ?? row.huggingFace
    }

    func gguf(_ role: TensorRole, layer: Int?) -> String? {
        guard let row = rows.first(where: { $0.role == role }) else { return nil }
        return layer.map { "blk.\($0).\(row.gguf)" } ?? row.gguf
    }

    /// The role behind a Hugging Face key, and its block's number.
    package func role(huggingFace name: String) -> (role: TensorRole, layer: Int?)? {
        find(name, prefix: blockPrefix, \.huggingFace)
    }

    /// The Hugging Face key of a GGUF name; nil when a model of this configuration has no such tensor.
    func huggingFace(gguf name: String, of configuration: ModelConfiguration) -> String? {
        find(name, prefix: "blk.", \.gguf, where: configuration.has)
            .flatMap { huggingFace($0.role, layer: $0.layer) }
    }

    private func find(
        _ name: String, prefix: String, _ key: (Row) -> String,
        where isWanted: (TensorRole) -> Bool = { _ in true }
    ) -> (role: TensorRole, layer: Int?)? {
        guard name.hasPrefix(prefix) else {
            return rows.first { !$0.role.isInBlock && key($0) == name && isWanted($0.role) }.map {
                ($0.role, nil)
            }
        }
        let parts = name.dropFirst(prefix.count).split(
            separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        // A number in its only spelling, so that no two names mean one tensor.
        guard parts.count == 2, let layer = Int(parts[0]), layer >= 0, "\(layer)" == parts[0],
            let row = rows.first(where: { $0.role.isInBlock && key($0) == parts[1] && isWanted($0.role) })
        else { return nil }
        return (row.role, layer)
    }

    static let llama = TensorNames(
        blockPrefix: "model.layers.",
        [
            (.embedding, "model.embed_tokens.weight", "token_embd.weight"),
            (.finalNorm, "model.norm.weight", "output_norm.weight"),
            (.head, "lm_head.weight", "output.weight"),
            (.attentionNorm, "input_layernorm.weight", "attn_norm.weight"),
            (.query, "self_attn.q_proj.weight", "attn_q.weight"),
            (.queryBias, "self_attn.q_proj.bias", "attn_q.bias"),
            (.key, "self_attn.k_proj.weight", "attn_k.weight"),
            (.keyBias, "self_attn.k_proj.bias", "attn_k.bias"),
            (.value, "self_attn.v_proj.weight", "attn_v.weight"),
            (.valueBias, "self_attn.v_proj.bias", "attn_v.bias"),
            (.queryKeyValue, "self_attn.qkv_proj.weight", "attn_qkv.weight"),
            (.queryNorm, "self_attn.q_norm.weight", "attn_q_norm.weight"),
            (.keyNorm, "self_attn.k_norm.weight", "attn_k_norm.weight"),
            (.output, "self_attn.o_proj.weight", "attn_output.weight"),
            (.outputBias, "self_attn.o_proj.bias", "attn_output.bias"),
            (.feedForwardNorm, "post_attention_layernorm.weight", "ffn_norm.weight"),
            (.gate, "mlp.gate_proj.weight", "ffn_gate.weight"),
            (.up, "mlp.up_proj.weight", "ffn_up.weight"),
            (.gateUp, "mlp.gate_up_proj.weight", "ffn_up.weight"),
            (.down, "mlp.down_proj.weight", "ffn_down.weight"),
        ])
}
