/// The names that a family's tensors have in folders and in GGUF files.
package struct TensorNames: Sendable {
    package struct Row: Sendable {
        let role: TensorRole
        /// Inside a block what follows ``TensorNames/blockPrefix`` and the block's number; `*` stands for an
        /// expert's number.
        let huggingFace: String
        /// Inside a block what follows `blk.N.`; the tensors of all experts are one.
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
    ///
    /// - Parameter removed: roles that the family has not; their names may be those of others.
    func replacing(
        _ changes: [(TensorRole, String, String)], without removed: [TensorRole] = []
    ) -> TensorNames {
        let changed = changes.map(\.0) + removed
        let kept = rows.filter { !changed.contains($0.role) }.map { ($0.role, $0.huggingFace, $0.gguf) }
        return TensorNames(blockPrefix: blockPrefix, kept + changes)
    }

    /// The Hugging Face key of a role; nil when the family has no such tensor.
    package func huggingFace(_ role: TensorRole, layer: Int?, expert: Int? = nil) -> String? {
        guard let row = rows.first(where: { $0.role == role }) else { return nil }
        var name = row.huggingFace
        if let expert, let star = name.firstIndex(of: "*") {
            name.replaceSubrange(star...star, with: "\(expert)")
        }
        return layer.map { "\(blockPrefix)\($0).\(name)" } ?? name
    }

    func gguf(_ role: TensorRole, layer: Int?) -> String? {
        guard let row = rows.first(where: { $0.role == role }) else { return nil }
        return layer.map { "blk.\($0).\(row.gguf)" } ?? row.gguf
    }

    /// The place of a Hugging Face key.
    package func place(huggingFace name: String) -> TensorPlace? {
        find(name, prefix: blockPrefix, \.huggingFace)
    }

    /// The place of a GGUF tensor, of all experts where it holds theirs; nil when a model of this configuration has
    /// no such tensor.
    func place(gguf name: String, of configuration: ModelConfiguration) -> TensorPlace? {
        find(name, prefix: "blk.", \.gguf) { configuration.has($0, layer: $1) }
    }

    private func find(
        _ name: String, prefix: String, _ key: (Row) -> String,
        where isWanted: (TensorRole, Int?) -> Bool = { _, _ in true }
    ) -> TensorPlace? {
        guard name.hasPrefix(prefix) else {
            return rows.first { !$0.role.isInBlock && key($0) == name && isWanted($0.role, nil) }.map {
                TensorPlace(role: $0.role)
            }
        }
        let parts = name.dropFirst(prefix.count).split(
            separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        // A number in its only spelling, so that no two names mean one tensor.
        guard parts.count == 2, let layer = number(parts[0]) else { return nil }
        for row in rows where row.role.isInBlock && isWanted(row.role, layer) {
            if key(row) == parts[1] { return TensorPlace(role: row.role, layer: layer) }
            if row.role.isExpert, let expert = expert(in: parts[1], key(row)) {
                return TensorPlace(role: row.role, layer: layer, expert: expert)
            }
        }
        return nil
    }

    private func number(_ text: Substring) -> Int? {
        Int(text).flatMap { $0 >= 0 && "\($0)" == text ? $0 : nil }
    }

    /// The number that stands where a pattern has its `*`.
    private func expert(in name: Substring, _ pattern: String) -> Int? {
        guard let star = pattern.firstIndex(of: "*") else { return nil }
        let (start, end) = (pattern[..<star], pattern[pattern.index(after: star)...])
        guard name.count > start.count + end.count, name.hasPrefix(start), name.hasSuffix(end) else {
            return nil
        }
        return number(name.dropFirst(start.count).dropLast(end.count))
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
            (.router, "mlp.gate.weight", "ffn_gate_inp.weight"),
            (.expertGate, "mlp.experts.*.gate_proj.weight", "ffn_gate_exps.weight"),
            (.expertUp, "mlp.experts.*.up_proj.weight", "ffn_up_exps.weight"),
            (.expertDown, "mlp.experts.*.down_proj.weight", "ffn_down_exps.weight"),
            (.sharedRouter, "mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"),
            (.sharedGate, "mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"),
            (.sharedUp, "mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"),
            (.sharedDown, "mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"),
        ])
}
