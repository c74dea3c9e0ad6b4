import WinnowJSON

extension ModelFamily {
    /// ViT: patches of an image after a class token, learned positions, norms before each branch, exact GELU. With
    /// labels the head's logits are those of the class token's row.
    static let vit = ModelFamily(
        huggingFaceNames: ["vit"], className: "ViTModel", ggufName: nil, names: .vit, modelPrefix: "",
        droppedPrefixes: ["vit."],
        ignoredPrefixes: ["pooler.", "classifier.", "decoder.", "embeddings.mask_token"],
        keys: FolderKeys(
            vocabularySize: nil, contextLength: nil, normEpsilon: "layer_norm_eps", epsilon: 1e-12,
            tiesEmbeddings: true, activations: ["gelu"]),
        traits: {
            var traits = DecoderTraits()
            traits.norm = .layer
            traits.hasQueryKeyValueBiases = true
            traits.hasOutputBias = true
            traits.hasFeedForwardBiases = true
            traits.isGated = false
            traits.activation = .gelu
            traits.isCausal = false
            traits.hasHead = false
            return traits
        }(),
        readFolder: { reader, configuration throws(CheckpointError) in
            configuration.traits.hasQueryKeyValueBiases = try reader.flag("qkv_bias", absent: true)
            let size = try reader.integer("image_size", in: 1...1 << 14, absent: 224)
            let patch = try reader.integer("patch_size", in: 1...size, absent: 16)
            let channels = try reader.integer("num_channels", in: 1...1 << 10, absent: 3)
            let image = ImageShape(size: size, patch: patch, channels: channels)
            configuration.traits.image = image
            configuration.contextLength = image.patches + 1
            try reader.readLabels(&configuration)
            configuration.traits.learnedPositions = LearnedPositions(rows: image.patches + 1, offset: 0)
        },
        describe: { configuration, config in
            let image = configuration.traits.image
            config["qkv_bias"] = .bool(configuration.traits.hasQueryKeyValueBiases)
            config["image_size"] = .integer(Int64(image?.size ?? 224))
            config["patch_size"] = .integer(Int64(image?.patch ?? 16))
            config["num_channels"] = .integer(Int64(image?.channels ?? 3))
        })
}

extension FieldReader {
    /// A head over the class token, in models that name what is in an image.
    fileprivate func readLabels(_ configuration: inout ModelConfiguration) throws(CheckpointError) {
        let classes = fields["architectures"]?.array?.compactMap(\.string) ?? []
        guard classes.contains("ViTForImageClassification") else { return }
        // Without names there are two.
        let named = fields["id2label"]?.object?.count ?? 0
        configuration.vocabularySize = try integer(
            "num_labels", in: 1...1 << 24, absent: named > 0 ? named : 2)
        configuration.tiesEmbeddings = false
        configuration.traits.hasHead = true
        configuration.traits.hasHeadBias = true
    }
}

extension TensorNames {
    fileprivate static let vit = TensorNames(
        blockPrefix: "encoder.layer.",
        [
            (.classToken, "embeddings.cls_token", ""),
            (.positions, "embeddings.position_embeddings", ""),
            (.embedding, "embeddings.patch_embeddings.projection.weight", ""),
            (.patchBias, "embeddings.patch_embeddings.projection.bias", ""),
            (.attentionNorm, "layernorm_before.weight", ""),
            (.attentionNormBias, "layernorm_before.bias", ""),
            (.query, "attention.attention.query.weight", ""),
            (.queryBias, "attention.attention.query.bias", ""),
            (.key, "attention.attention.key.weight", ""),
            (.keyBias, "attention.attention.key.bias", ""),
            (.value, "attention.attention.value.weight", ""),
            (.valueBias, "attention.attention.value.bias", ""),
            (.output, "attention.output.dense.weight", ""),
            (.outputBias, "attention.output.dense.bias", ""),
            (.feedForwardNorm, "layernorm_after.weight", ""),
            (.feedForwardNormBias, "layernorm_after.bias", ""),
            (.up, "intermediate.dense.weight", ""),
            (.upBias, "intermediate.dense.bias", ""),
            (.down, "output.dense.weight", ""),
            (.downBias, "output.dense.bias", ""),
            (.finalNorm, "layernorm.weight", ""),
            (.finalNormBias, "layernorm.bias", ""),
            (.head, "classifier.weight", ""),
            (.headBias, "classifier.bias", ""),
        ])
}
