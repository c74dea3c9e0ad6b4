import WinnowJSON

/// A family of models: what its files are called inside, and what they say of the model.
///
/// A family is a file in this folder and a row in ``ModelFamilies/all``; `Documentation/adding-an-architecture.md`
/// has the steps.
public struct ModelFamily: Sendable {
    /// The values of `model_type` that it answers to; the first is written.
    public let huggingFaceNames: [String]
    /// Of transformers, for `architectures` in a written `config.json`.
    public let className: String
    /// The value of `general.architecture`; nil where GGUF has no such models.
    public let ggufName: String?
    package let names: TensorNames
    /// How q and k rows stand in GGUF files.
    var ggufRotary = RotaryStyle.halves
    /// What stands before every name of a block or an embedding, and is missing in some old folders.
    var modelPrefix = "model."
    /// What stands before names in folders of some classes and is left out of Winnow's.
    var droppedPrefixes: [String] = []
    /// Beginnings of names that Winnow has no use for: heads of other tasks.
    var ignoredPrefixes: [String] = []
    /// Ends of names that old writers stored and that follow from the configuration.
    var ignoredSuffixes = [".rotary_emb.inv_freq"]
    /// Folders hold the linears of blocks as `[inputs, outputs]` (Conv1D).
    package var transposesLinears = false
    /// Folders hold the rows of q, k and v head by head: q, k and v of the first, then of the second.
    var interleavesQueryKeyValue = false
    /// Added to the norms of folders; GGUF files hold the sum.
    var folderNormOffset: Float = 0
    var keys = FolderKeys()
    /// The traits that every model of the family has.
    package var traits = DecoderTraits()
    /// Reads what `config.json` says beyond the keys.
    var readFolder: @Sendable (FieldReader, inout ModelConfiguration) throws(CheckpointError) -> Void = {
        _, _ in
    }
    /// Reads what metadata say beyond the keys that all families share.
    var readMetadata: @Sendable (MetadataReader, inout ModelConfiguration) throws(GGUFError) -> Void = {
        _, _ in
    }
    /// Adds to a made `config.json` what ``readFolder`` reads.
    var describe: @Sendable (ModelConfiguration, inout JSONObject) -> Void = { _, _ in }
}

/// What a family calls the fields of `config.json`, and the values that absent ones have.
struct FolderKeys: Sendable {
    /// nil: a model without a vocabulary.
    var vocabularySize: String? = "vocab_size"
    var width = "hidden_size"
    var layers = "num_hidden_layers"
    var heads = "num_attention_heads"
    var keyValueHeads = "num_key_value_heads"
    var feedForwardWidth = "intermediate_size"
    /// nil: it follows from other fields.
    var contextLength: String? = "max_position_embeddings"
    var normEpsilon = "rms_norm_eps"
    var activation = "hidden_act"

    /// Where absent; nil: the width over the heads.
    var headWidth: Int?
    var ropeBase = 10_000.0
    /// Of a head's columns that turn.
    var ropeShare = 1.0
    /// An absent feed-forward width is four times the width.
    var hasFeedForwardDefault = false
    var epsilon = 1e-6
    var context = 2048
    var tiesEmbeddings = false
    /// The names of the activation that the family runs; the first is the default, and is written.
    var activations = ["silu", "swish"]
}

/// Every family that Winnow runs.
public enum ModelFamilies {
    public static let all: [ModelFamily] = [
        .llama, .mistral, .mixtral, .qwen2, .qwen3, .qwen2MoE, .qwen3MoE, .gemma, .gemma2, .gemma3, .phi3,
        .gpt2, .opt,
        .gptNeoX, .starCoder2, .olmo2, .granite, .stableLM,
        .bert, .mpnet, .modernBERT, .vit,
    ]

    static let folderNames = all.flatMap(\.huggingFaceNames)
    /// Each once: Mistral's is Llama's.
    static let ggufNames = all.compactMap(\.ggufName).reduce(into: [String]()) { names, name in
        if !names.contains(name) { names.append(name) }
    }

    /// The family of a `model_type`.
    static func ofFolder(_ name: String) -> ModelFamily? { all.first { $0.huggingFaceNames.contains(name) } }

    /// The family of a `general.architecture`.
    static func ofGGUF(_ name: String) -> ModelFamily? { all.first { $0.ggufName == name } }

    static func named(_ name: String) -> ModelFamily? { ofFolder(name) ?? ofGGUF(name) }
}

extension ModelConfiguration {
    /// The family that ``architecture`` names; a plain Llama's for a name that no file was read with.
    package var family: ModelFamily { ModelFamilies.named(architecture) ?? .llama }

    /// The Hugging Face key of a tensor that this model has; nil for one that it has not.
    ///
    /// - Parameter expert: of roles that each expert has.
    package func tensorName(_ role: TensorRole, layer: Int? = nil, expert: Int? = nil) -> String? {
        has(role, layer: layer) ? family.names.huggingFace(role, layer: layer, expert: expert) : nil
    }

    /// Whether a Hugging Face key names a matrix of a block: what methods may prune.
    package func isBlockLinear(_ name: String) -> Bool {
        family.names.place(huggingFace: name)?.role.isLinear ?? false
    }

    /// Whether a Hugging Face key names scores of experts, which no packed format may round.
    package func isRouter(_ name: String) -> Bool {
        family.names.place(huggingFace: name)?.role.isRouter ?? false
    }

    /// Whether a Hugging Face key names a tensor that this model has.
    func knows(_ name: String) -> Bool {
        guard let place = family.names.place(huggingFace: name) else { return false }
        return has(place.role, layer: place.layer)
    }

    /// The Hugging Face keys of a GGUF name, one for each expert where it holds all of theirs; empty when this model
    /// has no such tensor.
    func huggingFaceNames(gguf name: String) -> [String] {
        guard let place = family.names.place(gguf: name, of: self) else { return [] }
        func key(_ expert: Int?) -> String? {
            family.names.huggingFace(place.role, layer: place.layer, expert: expert)
        }
        guard place.role.isExpert, let layer = place.layer else { return [key(nil)].compactMap(\.self) }
        return (0..<shape(ofLayer: layer).experts).compactMap(key)
    }

    /// The keys of all experts' matrices of the same kind in the same block; empty for a key of no expert.
    func expertNames(with name: String) -> [String] {
        guard let place = family.names.place(huggingFace: name), place.role.isExpert, let layer = place.layer
        else {
            return []
        }
        return (0..<shape(ofLayer: layer).experts).compactMap {
            family.names.huggingFace(place.role, layer: layer, expert: $0)
        }
    }

    /// The GGUF name of a Hugging Face key; nil when this model has no such tensor. Experts share theirs.
    func ggufName(_ name: String) -> String? {
        family.names.place(huggingFace: name).flatMap { family.names.gguf($0.role, layer: $0.layer) }
    }
}
