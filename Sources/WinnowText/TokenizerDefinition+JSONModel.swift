import WinnowJSON

/// The `model`, `normalizer`, `pre_tokenizer` and `decoder` of tokenizer.json.
extension TokenizerDefinition {
    /// Which kind of model it is; a byte-level one is told by its having no fallback for bytes.
    static func kind(_ model: JSONValue) throws(TokenizerError) -> TokenizerModel {
        switch model["type"]?.string ?? (model["merges"] == nil ? "none" : "BPE") {
        case "BPE":
            // Byte-level models need neither: each byte is a token.
            let isCharacters = model["byte_fallback"]?.bool == true || model["unk_token"]?.string != nil
            return isCharacters ? .characterBPE : .byteLevelBPE
        case "Unigram": return .unigram
        case "WordPiece": return .wordPiece
        case let other: throw .unsupportedModel(other)
        }
    }

    mutating func readModel(_ json: JSONValue, table: ByteKeyTable) throws(TokenizerError) {
        func unknown() throws(TokenizerError) -> TokenID? {
            guard let text = json["unk_token"]?.string else { return nil }
            guard let id = table.find(text) else {
                throw .missingKey("token '\(text)'", expected: "model.unk_token names it")
            }
            return TokenID(id)
        }
        switch model {
        case .byteLevelBPE, .characterBPE:
            for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
                guard let value = json[key], !value.isNull, value.string != "", value.number != 0 else {
                    continue
                }
                throw .unsupportedFeature(key: "model.\(key)", value: value.text())
            }
            ignoresMerges = json["ignore_merges"]?.bool ?? false
            hasByteFallback = json["byte_fallback"]?.bool ?? false
            fusesUnknown = json["fuse_unk"]?.bool ?? false
            markBytes()
            unknownID = try unknown()
            merges = try TokenizerDefinition.merges(json["merges"], table: table)
        case .unigram:
            var scores: [Float] = []
            for (id, entry) in (json["vocab"]?.array ?? []).enumerated() {
                guard let score = entry.array?.last?.number else { throw .badScore(token: id) }
                scores.append(Float(score))
            }
            scores += repeatElement(0, count: tokens.count - scores.count)
            try readScores(scores)
            scoresCoverAll = true
            hasByteFallback = json["byte_fallback"]?.bool ?? false
            fusesUnknown = true
            markBytes()
            unknownID = try TokenizerDefinition.checked(
                json["unk_id"]?.integer, "model.unk_id", count: tokens.count)
        case .wordPiece:
            unknownID = try unknown()
            continuingPrefix = json["continuing_subword_prefix"]?.string ?? "##"
            maximumWordLength = json["max_input_chars_per_word"]?.integer ?? 100
            stripsFirstSpace = true
        }
    }

    /// Tokens of bytes have no type in tokenizer.json; their spelling tells.
    private mutating func markBytes() {
        guard hasByteFallback else { return }
        for id in tokens.indices where kinds[id] == .normal && tokens[id].utf8.count == 6 {
            if CharacterPieces.byte(tokens[id]) != nil { kinds[id] = .byte }
        }
    }

    mutating func readSteps(_ json: JSONValue, isByteLevel: Bool) throws(TokenizerError) {
        if let value = json["normalizer"], !value.isNull { try readNormalizer(value) }
        if isByteLevel {
            preTokenizer = try PreTokenizer(byteLevel: json["pre_tokenizer"])
            // Only `ByteLevel` alone may ask for it: it is then done to what is between added tokens.
            if json["pre_tokenizer"]?["add_prefix_space"]?.bool == true {
                normalizer.steps.append(.prependSpace)
            }
            return
        }
        var cuts: [WordCut] = []
        if let value = json["pre_tokenizer"], !value.isNull {
            for part in PreTokenizer.parts(value) { try readPreTokenizer(part, &cuts) }
        }
        if cuts.isEmpty, model == .characterBPE, cutsAtSpaceMarks { cuts = [.spaceMarks(all: false)] }
        preTokenizer = PreTokenizer(cuts)
        if model != .wordPiece { stripsFirstSpace = TokenizerDefinition.stripsFirst(json["decoder"]) }
    }

    private mutating func readPreTokenizer(_ json: JSONValue, _ cuts: inout [WordCut])
        throws(TokenizerError)
    {
        switch json["type"]?.string {
        case "Metaspace":
            guard json["replacement"]?.string ?? "▁" == "▁" else {
                throw .unsupportedFeature(
                    key: "Metaspace.replacement", value: json["replacement"]?.text() ?? "")
            }
            let prefix =
                json["prepend_scheme"]?.string
                ?? (json["add_prefix_space"]?.bool == false ? "never" : "always")
            switch prefix {
            case "always": spaceMarks = SpaceMarks(prefix: .always)
            case "first": spaceMarks = SpaceMarks(prefix: .first)
            case "never": spaceMarks = SpaceMarks(prefix: .never)
            default: throw .unsupportedFeature(key: "Metaspace.prepend_scheme", value: prefix)
            }
            if json["split"]?.bool ?? true { cuts.append(.spaceMarks(all: true)) }
        case "WhitespaceSplit" where model == .unigram && spaceMarks == nil && cuts.isEmpty:
            // A mark before each of the words that white space separates is a mark for each run of it.
            normalizer.steps.append(.collapseSpaces)
        case "Split"
        where json["pattern"]?["String"]?.string == " " && normalizer.steps.last?.marksSpaces == true:
            // No space is left to split at, as in Gemma's.
            break
        case "BertPreTokenizer" where model == .wordPiece: cuts.append(.bert)
        case "Whitespace", "WhitespaceSplit", "ByteLevel":
            throw .unsupportedPreTokenizer(json["type"]?.string ?? "")
        default: cuts.append(try PreTokenizer.cut(json))
        }
    }

    private mutating func readNormalizer(_ json: JSONValue) throws(TokenizerError) {
        func flag(_ key: String, _ other: Bool) -> Bool { json[key]?.bool ?? other }
        let type = json["type"]?.string ?? "none"
        switch type {
        case "Sequence":
            for part in json["normalizers"]?.array ?? [] { try readNormalizer(part) }
        case "NFC", "NFD", "NFKC", "NFKD":
            normalizer.steps.append(
                .unicode(UnicodeForm(composes: type.hasSuffix("C"), isCompatible: type.hasPrefix("NFK"))))
        case "Nmt": normalizer.steps.append(.nmt)
        case "Lowercase": normalizer.steps.append(.lowercase)
        case "StripAccents": normalizer.steps.append(.removeMarks)
        case "Strip":
            normalizer.steps.append(
                .strip(left: flag("strip_left", true), right: flag("strip_right", true)))
        case "Prepend":
            normalizer.steps.append(.prepend(Array((json["prepend"]?.string ?? "").utf8)))
        case "Replace":
            let other = Array((json["content"]?.string ?? "").utf8)
            if let part = json["pattern"]?["String"]?.string {
                normalizer.steps.append(.replace(Array(part.utf8), with: other))
            } else if json["pattern"]?["Regex"]?.string == " {2,}" {
                normalizer.steps.append(.replaceSpaces(with: other))
            } else {
                throw .unsupportedFeature(
                    key: "normalizer Replace", value: json["pattern"]?.text() ?? "none")
            }
        case "BertNormalizer":
            let lowercases = flag("lowercase", true)
            normalizer.steps.append(
                .bert(
                    BERTNormalization(
                        cleansText: flag("clean_text", true),
                        separatesIdeographs: flag("handle_chinese_chars", true),
                        stripsAccents: json["strip_accents"]?.bool ?? lowercases, lowercases: lowercases)))
        case "Precompiled":
            let text = json["precompiled_charsmap"]?.string ?? ""
            guard let bytes = Base64.decode(text) else {
                throw .malformed("precompiled_charsmap", reason: "not base64")
            }
            guard !bytes.isEmpty else { return }
            var map = try CharacterMap(bytes)
            map.followsClusters = true
            normalizer.steps.append(.precompiled(map))
        default: throw .unsupportedFeature(key: "normalizer", value: type)
        }
    }

    /// Whether a decoder takes the first space off.
    private static func stripsFirst(_ json: JSONValue?) -> Bool {
        switch json?["type"]?.string {
        case "Sequence": return (json?["decoders"]?.array ?? []).contains { stripsFirst($0) }
        case "Strip": return json?["content"]?.string == " " && json?["start"]?.integer ?? 0 > 0
        case "Metaspace":
            return json?["prepend_scheme"]?.string
                ?? (json?["add_prefix_space"]?.bool == false ? "never" : "always")
                != "never"
        default: return false
        }
    }
}

extension Normalizer.Step {
    fileprivate var marksSpaces: Bool { self == .replace([0x20], with: SpaceMarks.mark) }
}
