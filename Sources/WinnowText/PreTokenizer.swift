import WinnowJSON

/// How text is cut into words before merging: one case and one row of names each.
public enum PreTokenizer: String, Sendable, CaseIterable {
    /// GPT-2's expression.
    case gpt2 = "gpt-2"
    /// Each digit alone, then GPT-2's expression.
    case smollm = "smollm"
    /// Llama 3's expression: up to three digits, a prefix character before letters, line ends kept with marks.
    case llama3 = "llama-bpe"
    /// Llama 3's expression with each digit alone.
    case qwen2 = "qwen2"

    /// The name under `tokenizer.ggml.pre` in GGUF files.
    public var name: String { rawValue }

    /// Other names of GGUF files for the same rule.
    private var aliases: [String] {
        switch self {
        case .gpt2: ["phi-2", "mpt", "olmo", "jais"]
        case .smollm: ["starcoder", "refact", "command-r", "codeshell"]
        case .llama3: ["llama3", "llama-v3", "falcon3", "pixtral"]
        case .qwen2: []
        }
    }

    static var knownNames: String { allCases.map(\.name).joined(separator: ", ") }

    public init(ggufName: String) throws(TokenizerError) {
        for candidate in PreTokenizer.allCases
        where candidate.name == ggufName || candidate.aliases.contains(ggufName) {
            self = candidate
            return
        }
        throw .unsupportedPreTokenizer(ggufName)
    }

    /// Whether files of this kind begin with BOS when they do not say.
    var addsBOSByDefault: Bool { self == .llama3 }

    /// Whether a whole word that is a token is taken before any merge.
    var ignoresMerges: Bool { self == .llama3 }

    /// The expression that Hugging Face's `Split` takes, nil for those built into `ByteLevel`.
    private var expression: String? {
        let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
        let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        switch self {
        case .gpt2, .smollm: return nil
        case .llama3: return contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + rest
        case .qwen2: return contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + rest
        }
    }

    // MARK: tokenizer.json

    /// The `pre_tokenizer` of tokenizer.json.
    var json: JSONValue {
        let byteLevel: JSONValue = [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": .bool(expression == nil),
        ]
        if self == .gpt2 { return byteLevel }
        let first: JSONValue =
            if let expression {
                [
                    "type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated",
                    "invert": false,
                ]
            } else {
                ["type": "Digits", "individual_digits": true]
            }
        return ["type": "Sequence", "pretokenizers": [first, byteLevel]]
    }

    /// Recognises a `pre_tokenizer` of tokenizer.json.
    init(json: JSONValue?) throws(TokenizerError) {
        guard let json, json.object != nil else {
            throw .unsupportedPreTokenizer(json.map { $0.text() } ?? "none")
        }
        var parts = [json]
        if json["type"]?.string == "Sequence" { parts = json["pretokenizers"]?.array ?? [] }
        guard let last = parts.popLast(), last["type"]?.string == "ByteLevel",
            last["add_prefix_space"]?.bool == false
        else { throw .unsupportedPreTokenizer(json.text()) }
        let usesRegex = last["use_regex"]?.bool ?? true
        switch (parts.first?["type"]?.string, parts.count) {
        case (nil, 0) where usesRegex:
            self = .gpt2
        case ("Digits", 1) where usesRegex && parts[0]["individual_digits"]?.bool == true:
            self = .smollm
        case ("Split", 1) where !usesRegex && parts[0]["behavior"]?.string == "Isolated"
            && parts[0]["invert"]?.bool != true:
            let pattern = parts[0]["pattern"]?["Regex"]?.string
            guard let found = PreTokenizer.allCases.first(where: { $0.expression == pattern && pattern != nil })
            else { throw .unsupportedPreTokenizer(pattern ?? json.text()) }
            self = found
        default: throw .unsupportedPreTokenizer(json.text())
        }
    }
}
