import WinnowJSON

extension ModelFamily {
    /// Mixtral: a Mistral with experts in every block. Its GGUF files say `llama`.
    static let mixtral = ModelFamily(
        huggingFaceNames: ["mixtral"], className: "MixtralForCausalLM", ggufName: "llama", names: .mixtral,
        ggufRotary: .interleaved, keys: FolderKeys(ropeBase: 1e6, epsilon: 1e-5, context: 131_072),
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readSlidingWindow("sliding_window", &configuration) { _ in true }
            try reader.readExperts(
                &configuration, count: "num_local_experts", absent: 8, used: 2,
                width: configuration.feedForwardWidth, renormalises: true)
        },
        describe: { configuration, config in
            config["sliding_window"] = .window(configuration.traits.slidingWindow)
            config["num_local_experts"] = .experts(configuration)
            config["num_experts_per_tok"] = .integer(Int64(configuration.traits.experts?.used ?? 2))
        })
}

extension TensorNames {
    fileprivate static let mixtral = TensorNames.llama.replacing([
        (.router, "block_sparse_moe.gate.weight", "ffn_gate_inp.weight"),
        (.expertGate, "block_sparse_moe.experts.*.w1.weight", "ffn_gate_exps.weight"),
        (.expertUp, "block_sparse_moe.experts.*.w3.weight", "ffn_up_exps.weight"),
        (.expertDown, "block_sparse_moe.experts.*.w2.weight", "ffn_down_exps.weight"),
    ])
}

extension FieldReader {
    /// How many experts there are, one number or one for each layer, and how many of them a token goes to.
    func readExperts(
        _ configuration: inout ModelConfiguration, count key: String, absent: Int, used absentUsed: Int,
        width: Int,
        renormalises: Bool
    ) throws(CheckpointError) {
        let counts = try perLayer(key, layers: configuration.layers, in: 1...1 << 12, absent: absent)
        configuration.traits.experts = ExpertTraits(
            count: counts.max() ?? absent,
            used: try integer("num_experts_per_tok", in: 1...(counts.min() ?? 1), absent: absentUsed),
            width: width, renormalises: renormalises)
        configuration.setExperts(counts)
    }
}

extension JSONValue {
    /// The number of experts, or a list of those of each layer.
    static func experts(_ configuration: ModelConfiguration) -> JSONValue {
        let count = configuration.traits.experts?.count ?? 0
        let own = configuration.layerShapes.map(\.experts)
        return own.allSatisfy { $0 == count || $0 == 0 }
            ? .integer(Int64(count)) : .array(own.map { .integer(Int64($0 > 0 ? $0 : count)) })
    }
}
