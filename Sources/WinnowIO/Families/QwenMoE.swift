import WinnowJSON

extension ModelFamily {
    /// Qwen 1.5 and 2 with experts: a Qwen 2 whose blocks have experts beside one that every token goes to.
    static let qwen2MoE = ModelFamily(
        huggingFaceNames: ["qwen2_moe"], className: "Qwen2MoeForCausalLM", ggufName: "qwen2moe",
        names: .llama,
        keys: FolderKeys(context: 32_768),
        traits: ModelFamily.qwen2.traits,
        readFolder: { reader, configuration throws(CheckpointError) in
            configuration.traits.hasQueryKeyValueBiases = try reader.flag("qkv_bias", absent: true)
            try reader.readQwenWindow(&configuration)
            try reader.readQwenExperts(&configuration, count: 60, used: 4, width: 1408)
            configuration.traits.experts?.sharedWidth = try reader.integer(
                "shared_expert_intermediate_size", in: 1...1 << 20, absent: 5632)
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            try reader.readExperts(&configuration, width: nil, renormalises: false)
            // Files of the first converters leave it out: all experts of a token together are as wide.
            let experts = configuration.traits.experts
            configuration.traits.experts?.sharedWidth = try reader.integer(
                "qwen2moe.expert_shared_feed_forward_length", in: 1...1 << 20,
                absent: (experts?.used ?? 1) * (experts?.width ?? 1))
        },
        describe: { configuration, config in
            describeQwenWindow(configuration, &config)
            describeQwenExperts(configuration, &config)
            config["qkv_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            config["shared_expert_intermediate_size"] = .integer(
                Int64(configuration.traits.experts?.sharedWidth ?? 0))
        })

    /// Qwen 3 with experts.
    static let qwen3MoE = ModelFamily(
        huggingFaceNames: ["qwen3_moe"], className: "Qwen3MoeForCausalLM", ggufName: "qwen3moe",
        names: .llama,
        keys: FolderKeys(context: 32_768),
        traits: ModelFamily.qwen3.traits,
        readFolder: { reader, configuration throws(CheckpointError) in
            try reader.readAttentionBias(&configuration)
            if try reader.flag("use_sliding_window", absent: false) {
                try reader.readSlidingWindow("sliding_window", absent: 4096, &configuration) { _ in true }
            }
            try reader.readQwenExperts(&configuration, count: 128, used: 8, width: 768)
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            try reader.readExperts(&configuration, width: nil, renormalises: true)
        },
        describe: { configuration, config in
            config["attention_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            describeQwenWindow(configuration, &config)
            describeQwenExperts(configuration, &config)
        })

    private static func describeQwenExperts(_ configuration: ModelConfiguration, _ config: inout JSONObject) {
        guard let experts = configuration.traits.experts else { return }
        config["num_experts"] = .experts(configuration)
        config["num_experts_per_tok"] = .integer(Int64(experts.used))
        config["moe_intermediate_size"] = .integer(Int64(experts.width))
        config["norm_topk_prob"] = .bool(experts.renormalises)
        config["decoder_sparse_step"] = 1
        config["mlp_only_layers"] = .array(
            (0..<configuration.layers).filter { !configuration.hasExperts(inLayer: $0) }.map {
                .integer(Int64($0))
            })
    }
}

extension FieldReader {
    /// The experts of every `decoder_sparse_step`-th block, but for those of `mlp_only_layers`.
    fileprivate func readQwenExperts(
        _ configuration: inout ModelConfiguration, count: Int, used: Int, width: Int
    ) throws(CheckpointError) {
        let layers = configuration.layers
        // transformers 5 writes the other name for Qwen 3.
        let key = has("num_local_experts") && !has("num_experts") ? "num_local_experts" : "num_experts"
        try readExperts(
            &configuration, count: key, absent: count, used: used,
            width: try integer("moe_intermediate_size", in: 1...1 << 20, absent: width),
            renormalises: try flag("norm_topk_prob", absent: false))
        let step = try integer("decoder_sparse_step", in: 1...1 << 16, absent: 1)
        var dense = Set<Int>()
        if has("mlp_only_layers") {
            let list = fields["mlp_only_layers"]?.array?.map(\.integer)
            guard let list, list.allSatisfy({ $0.map { $0 >= 0 && $0 < layers } ?? false }) else {
                throw wrong("mlp_only_layers", "a list of layers, 0 to \(layers - 1)")
            }
            dense = Set(list.compactMap(\.self))
        }
        let own = (0..<layers).map { ($0 + 1).isMultiple(of: step) && !dense.contains($0) }
        guard own.contains(true) else {
            configuration.traits.experts = nil
            return
        }
        if own.contains(false) { configuration.traits.experts?.layers = own }
        for layer in configuration.layerShapes.indices where !own[layer] {
            configuration.layerShapes[layer].experts = 0
        }
    }
}
