import WinnowJSON

extension ModelFamily {
    /// BERT and RoBERTa: encoders with norms after each branch, learned positions, biases, exact GELU.
    ///
    /// The heads that some files hold (pooler, masked tokens) are left out: Winnow reads the last states.
    static let bert = ModelFamily(
        huggingFaceNames: ["bert", "roberta", "xlm-roberta", "camembert"], className: "BertModel",
        ggufName: "bert",
        names: .bert, modelPrefix: "", droppedPrefixes: ["bert.", "roberta."],
        ignoredPrefixes: ["pooler.", "cls.", "classifier.", "lm_head.", "embeddings.position_ids"],
        keys: .bert,
        traits: .encoder,
        readFolder: { reader, configuration throws(CheckpointError) in
            let kind = try reader.optionalText("position_embedding_type") ?? "absolute"
            guard kind == "absolute" else {
                throw .unsupported(
                    file: reader.file, feature: "'position_embedding_type': '\(kind)'",
                    advice: "use a model with absolute positions")
            }
            try reader.refuse("is_decoder", advice: "use an encoder")
            configuration.traits.tokenTypes = try reader.integer("type_vocab_size", in: 1...1024, absent: 2)
            // RoBERTa counts positions from the one after its padding token.
            var offset = 0
            if configuration.architecture != "bert" {
                offset = try reader.integer("pad_token_id", in: 0...1024, absent: 1) + 1
            }
            try reader.readPositions(&configuration, offset: offset)
        },
        readMetadata: { reader, configuration throws(GGUFError) in
            guard reader.file["bert.attention.causal"]?.bool != true else {
                throw .unsupported(
                    file: reader.file.path, feature: "bert.attention.causal", advice: "use an encoder")
            }
            let types = reader.file.tensors.first { $0.name == "token_types.weight" }
            // Of one kind a vector.
            configuration.traits.tokenTypes = types.map { $0.shape.count == 2 ? $0.shape[0] : 1 } ?? 0
            configuration.traits.learnedPositions = LearnedPositions(
                rows: configuration.contextLength, offset: 0)
        },
        describe: { configuration, config in
            config["type_vocab_size"] = .integer(Int64(configuration.traits.tokenTypes))
            config["position_embedding_type"] = "absolute"
        })

    /// MPNet: a BERT without kinds of segments, whose scores of attention know distances.
    static let mpnet = ModelFamily(
        huggingFaceNames: ["mpnet"], className: "MPNetModel", ggufName: nil, names: .mpnet, modelPrefix: "",
        droppedPrefixes: ["mpnet."],
        ignoredPrefixes: ["pooler.", "lm_head.", "classifier.", "embeddings.position_ids"],
        keys: .bert,
        traits: .encoder,
        readFolder: { reader, configuration throws(CheckpointError) in
            let buckets = try reader.integer("relative_attention_num_buckets", in: 4...4096, absent: 32)
            guard buckets.isMultiple(of: 4) else {
                throw reader.wrong("relative_attention_num_buckets", "a multiple of 4")
            }
            configuration.traits.relativeBias = RelativeBias(buckets: buckets)
            try reader.readPositions(&configuration, offset: 2)
        },
        describe: { configuration, config in
            config["relative_attention_num_buckets"] = .integer(
                Int64(configuration.traits.relativeBias?.buckets ?? 32))
        })
}

extension DecoderTraits {
    /// Of BERT and its kin.
    fileprivate static let encoder: DecoderTraits = {
        var traits = DecoderTraits()
        traits.norm = .layer
        traits.normPlacement = .after
        traits.hasFinalNorm = false
        traits.hasEmbeddingNorm = true
        traits.hasQueryKeyValueBiases = true
        traits.hasOutputBias = true
        traits.hasFeedForwardBiases = true
        traits.isGated = false
        traits.activation = .gelu
        traits.isCausal = false
        traits.hasHead = false
        return traits
    }()
}

extension FolderKeys {
    fileprivate static let bert = FolderKeys(
        normEpsilon: "layer_norm_eps", epsilon: 1e-12, context: 512, tiesEmbeddings: true,
        activations: ["gelu"])
}

extension FieldReader {
    /// A table of positions as long as the context says, of which tokens use the rows from `offset` on.
    fileprivate func readPositions(
        _ configuration: inout ModelConfiguration, offset: Int
    ) throws(CheckpointError) {
        guard configuration.contextLength > offset else {
            throw wrong("max_position_embeddings", "more than \(offset) positions")
        }
        configuration.traits.learnedPositions = LearnedPositions(
            rows: configuration.contextLength, offset: offset)
    }
}

extension TensorNames {
    fileprivate static let bert = TensorNames(
        blockPrefix: "encoder.layer.",
        [
            (.embedding, "embeddings.word_embeddings.weight", "token_embd.weight"),
            (.positions, "embeddings.position_embeddings.weight", "position_embd.weight"),
            (.tokenTypes, "embeddings.token_type_embeddings.weight", "token_types.weight"),
            (.embeddingNorm, "embeddings.LayerNorm.weight", "token_embd_norm.weight"),
            (.embeddingNormBias, "embeddings.LayerNorm.bias", "token_embd_norm.bias"),
            (.query, "attention.self.query.weight", "attn_q.weight"),
            (.queryBias, "attention.self.query.bias", "attn_q.bias"),
            (.key, "attention.self.key.weight", "attn_k.weight"),
            (.keyBias, "attention.self.key.bias", "attn_k.bias"),
            (.value, "attention.self.value.weight", "attn_v.weight"),
            (.valueBias, "attention.self.value.bias", "attn_v.bias"),
            (.output, "attention.output.dense.weight", "attn_output.weight"),
            (.outputBias, "attention.output.dense.bias", "attn_output.bias"),
            (.attentionNorm, "attention.output.LayerNorm.weight", "attn_output_norm.weight"),
            (.attentionNormBias, "attention.output.LayerNorm.bias", "attn_output_norm.bias"),
            (.up, "intermediate.dense.weight", "ffn_up.weight"),
            (.upBias, "intermediate.dense.bias", "ffn_up.bias"),
            (.down, "output.dense.weight", "ffn_down.weight"),
            (.downBias, "output.dense.bias", "ffn_down.bias"),
            (.feedForwardNorm, "output.LayerNorm.weight", "layer_output_norm.weight"),
            (.feedForwardNormBias, "output.LayerNorm.bias", "layer_output_norm.bias"),
        ])

    fileprivate static let mpnet = TensorNames.bert.replacing([
        (.relativeBias, "encoder.relative_attention_bias.weight", ""),
        (.query, "attention.attn.q.weight", ""),
        (.queryBias, "attention.attn.q.bias", ""),
        (.key, "attention.attn.k.weight", ""),
        (.keyBias, "attention.attn.k.bias", ""),
        (.value, "attention.attn.v.weight", ""),
        (.valueBias, "attention.attn.v.bias", ""),
        (.output, "attention.attn.o.weight", ""),
        (.outputBias, "attention.attn.o.bias", ""),
        (.attentionNorm, "attention.LayerNorm.weight", ""),
        (.attentionNormBias, "attention.LayerNorm.bias", ""),
    ])
}
