/// What a GGUF file says about its tokenizer, under `tokenizer.ggml.`.
public struct GGUFTokenizer: Sendable {
    /// `model`: `gpt2`, `llama`, `gemma4`, `t5` or `bert`.
    public var model: String
    /// `pre`, the name of a ``PreTokenizer``; byte-level models need it.
    public var pre: String?
    public var tokens: [String]
    /// `token_type`; empty means that all tokens are normal.
    public var kinds: [Int32] = []
    public var merges: [String] = []
    /// `scores`, which SentencePiece models need.
    public var scores: [Float] = []
    public var bos: Int?
    public var eos: Int?
    public var unknown: Int?
    public var padding: Int?
    /// `add_bos_token` and `add_eos_token`; nil means what the kind does.
    public var addsBOS: Bool?
    public var addsEOS: Bool?
    /// `add_space_prefix` and `remove_extra_whitespaces`.
    public var addsSpacePrefix: Bool?
    public var removesExtraSpaces: Bool?
    /// `precompiled_charsmap`.
    public var characterMap: [UInt8] = []
    public var chatTemplate: String?

    public init(model: String, tokens: [String]) {
        self.model = model
        self.tokens = tokens
    }
}

extension TokenizerDefinition {
    /// Makes a definition of the metadata of a byte-level model.
    public init(
        ggufModel: String, pre: String?, tokens: [String], kinds: [Int32], merges: [String],
        bos: Int?, eos: Int?, unknown: Int?, padding: Int?,
        addsBOS: Bool?, addsEOS: Bool? = nil, chatTemplate: String?
    ) throws(TokenizerError) {
        var metadata = GGUFTokenizer(model: ggufModel, tokens: tokens)
        metadata.pre = pre
        metadata.kinds = kinds
        metadata.merges = merges
        (metadata.bos, metadata.eos, metadata.unknown, metadata.padding) = (bos, eos, unknown, padding)
        (metadata.addsBOS, metadata.addsEOS, metadata.chatTemplate) = (addsBOS, addsEOS, chatTemplate)
        try self.init(metadata)
    }

    /// Makes a definition of the metadata of a GGUF file. No text is put into a normal form that the file does not
    /// describe: tokenizer.json of some byte-level models has form C, which GGUF has no key for.
    public init(_ metadata: GGUFTokenizer) throws(TokenizerError) {
        let tokens = metadata.tokens
        let table = try TokenizerDefinition.index(tokens)
        self.init(tokens: tokens)
        try readKinds(metadata.kinds)
        let count = tokens.count
        bosID = try TokenizerDefinition.checked(
            metadata.bos, "tokenizer.ggml.bos_token_id", count: count)
        eosID = try TokenizerDefinition.checked(
            metadata.eos, "tokenizer.ggml.eos_token_id", count: count)
        unknownID = try TokenizerDefinition.checked(
            metadata.unknown, "tokenizer.ggml.unknown_token_id", count: count)
        paddingID = try TokenizerDefinition.checked(
            metadata.padding, "tokenizer.ggml.padding_token_id", count: count)
        addsBOS = metadata.addsBOS ?? false
        addsEOS = metadata.addsEOS ?? false
        chatTemplate = metadata.chatTemplate
        switch metadata.model {
        case "gpt2":
            guard let pre = metadata.pre else {
                throw .missingKey("tokenizer.ggml.pre", expected: PreTokenizer.knownNames)
            }
            let row = try PreTokenizer.row(ggufName: pre)
            preTokenizer = PreTokenizer(row)
            ignoresMerges = row.ignoresMerges
            addsBOS = metadata.addsBOS ?? row.addsBOS
            merges = try TokenizerDefinition.merges(metadata.merges, table: table)
        case "llama":
            try readScores(metadata.scores)
            model = .characterBPE
            hasByteFallback = true
            fusesUnknown = true
            unknownID = unknownID ?? (kinds.first == .unknown ? 0 : nil)
            addsBOS = metadata.addsBOS ?? true
            let addsSpace = metadata.addsSpacePrefix ?? true
            normalizer.steps =
                (addsSpace ? [.prepend(SpaceMarks.mark)] : []) + [.replace([0x20], with: SpaceMarks.mark)]
            stripsFirstSpace = addsSpace
            merges = try mergesByScore(table)
            preTokenizer = PreTokenizer(cutsAtSpaceMarks ? [.spaceMarks(all: false)] : [])
        case "gemma4":
            model = .characterBPE
            hasByteFallback = true
            fusesUnknown = true
            normalizer.steps = [.replace([0x20], with: SpaceMarks.mark)]
            merges = try TokenizerDefinition.merges(metadata.merges, table: table)
            preTokenizer = PreTokenizer(cutsAtSpaceMarks ? [.lines, .spaceMarks(all: false)] : [.lines])
        case "t5":
            try readScores(metadata.scores)
            model = .unigram
            unknownID = unknownID ?? kinds.firstIndex(of: .unknown).map { TokenID($0) }
            addsEOS = metadata.addsEOS ?? true
            if !metadata.characterMap.isEmpty {
                normalizer.steps.append(.precompiled(try CharacterMap(metadata.characterMap)))
            }
            if metadata.removesExtraSpaces ?? true { normalizer.steps.append(.collapseSpaces) }
            let addsSpace = metadata.addsSpacePrefix ?? true
            if addsSpace { normalizer.steps.append(.prepend(SpaceMarks.mark)) }
            normalizer.steps.append(.replace([0x20], with: SpaceMarks.mark))
            stripsFirstSpace = addsSpace
            preTokenizer = PreTokenizer(cutsAtSpaceMarks ? [.spaceMarks(all: false)] : [])
        case "bert":
            model = .wordPiece
            unknownID = unknownID ?? table.find("[UNK]").map { TokenID($0) }
            eosID = eosID ?? table.find("[SEP]").map { TokenID($0) }
            addsBOS = metadata.addsBOS ?? true
            addsEOS = metadata.addsEOS ?? true
            normalizer.steps = [.bert(BERTNormalization())]
            stripsFirstSpace = true
            preTokenizer = PreTokenizer([.bert])
        default: throw .unsupportedModel(metadata.model)
        }
    }

    /// A definition of tokens alone, all normal.
    init(tokens: [String]) {
        self.tokens = tokens
        kinds = [TokenKind](repeating: .normal, count: tokens.count)
        addedTokens = []
        merges = []
        preTokenizer = .gpt2
        ignoresMerges = false
        addsBOS = false
        addsEOS = false
    }

    private mutating func readKinds(_ numbers: [Int32]) throws(TokenizerError) {
        guard !numbers.isEmpty else { return }
        guard numbers.count == tokens.count else {
            throw .kindCount(kinds: numbers.count, tokens: tokens.count)
        }
        for id in tokens.indices {
            guard let kind = TokenKind(rawValue: numbers[id]) else {
                throw .unknownKind(Int(numbers[id]), token: id)
            }
            kinds[id] = kind
            if kind == .control || kind == .userDefined || kind == .unknown, !tokens[id].isEmpty {
                addedTokens.append(
                    AddedToken(id: TokenID(id), content: tokens[id], isSpecial: kind != .userDefined))
            }
        }
    }

    mutating func readScores(_ scores: [Float]) throws(TokenizerError) {
        guard scores.count == tokens.count else {
            throw .scoreCount(scores: scores.count, tokens: tokens.count)
        }
        if let bad = scores.firstIndex(where: { $0.isNaN || $0 == .infinity }) {
            throw .badScore(token: bad)
        }
        self.scores = scores
    }

    private static func merges(_ texts: [String], table: ByteKeyTable) throws(TokenizerError)
        -> [Merge]
    {
        guard !texts.isEmpty else { throw .missingMerges }
        var result: [Merge] = []
        result.reserveCapacity(texts.count)
        var scratch: [UInt8] = []
        for (index, text) in texts.enumerated() {
            result.append(try merge(text, index: index, table: table, scratch: &scratch))
        }
        return result
    }

    /// SentencePiece's BPE has no list of merges: any two tokens whose texts make a token are one, best score first.
    ///
    /// - Departure: a pair joins only when both parts are tokens; SentencePiece also joins characters that are none.
    ///   Its trainer makes a token of each character that a longer one has.
    func mergesByScore(_ table: ByteKeyTable) throws(TokenizerError) -> [Merge] {
        var result: [Merge] = []
        result.reserveCapacity(tokens.count * 2)
        // Each way to cut a token is looked up, which takes the square of its length.
        var work = 0
        for id in tokens.indices {
            let bytes = tokens[id].utf8.count
            work += bytes > 1 << 15 ? TokenizerDefinition.mergeWork + 1 : bytes * bytes
            guard work <= TokenizerDefinition.mergeWork else {
                throw .pieceTooLong(token: id, bytes: bytes)
            }
        }
        func takesPart(_ id: Int) -> Bool {
            switch kinds[id] {
            case .normal, .userDefined, .unused: true
            case .control, .unknown, .byte: false
            }
        }
        for id in tokens.indices where takesPart(id) {
            var token = tokens[id]
            token.withUTF8 { bytes in
                guard bytes.count > 1 else { return }
                for split in 1..<bytes.count where bytes[split] & 0xC0 != 0x80 {
                    guard let left = table.find(UnsafeBufferPointer(rebasing: bytes[..<split])),
                        takesPart(left),
                        let right = table.find(UnsafeBufferPointer(rebasing: bytes[split...])),
                        takesPart(right)
                    else { continue }
                    result.append(Merge(left: TokenID(left), right: TokenID(right), merged: TokenID(id)))
                }
            }
        }
        // Stable for equal scores, so that a file always gives the same list.
        return result.enumerated().sorted {
            let (a, b) = (scores[Int($0.element.merged)], scores[Int($1.element.merged)])
            return a > b || (a == b && $0.offset < $1.offset)
        }.map(\.element)
    }

    /// The sum of squares of tokens' bytes: some hundred times that of the largest vocabularies.
    private static var mergeWork: Int { 1 << 31 }

    /// Whether words may be cut before a U+2581 that follows something else: no token spans such a place.
    var cutsAtSpaceMarks: Bool {
        let added = Set(addedTokens.map(\.id))
        for (id, token) in tokens.enumerated()
        where token.utf8.count > 3 && !added.contains(TokenID(id)) {
            var wasOther = false
            for scalar in token.unicodeScalars {
                if scalar.value == 0x2581, wasOther { return false }
                wasOther = scalar.value != 0x2581
            }
        }
        return true
    }
}
