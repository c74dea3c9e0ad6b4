import WinnowJSON

/// Reading and writing the `pre_tokenizer` of tokenizer.json.
extension PreTokenizer {
    /// As tokenizer.json spells it.
    package var json: JSONValue {
        var parts = cuts.dropLast(cuts.last == .gpt2 ? 1 : 0).compactMap(PreTokenizer.json(of:))
        parts.append([
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": .bool(cuts.last == .gpt2),
        ])
        return parts.count == 1 ? parts[0] : ["type": "Sequence", "pretokenizers": .array(parts)]
    }

    private static func json(of cut: WordCut) -> JSONValue? {
        switch cut {
        case .bert: return ["type": "BertPreTokenizer"]
        case .run(RunCut(set: .numeric, maximum: 1)):
            return ["type": "Digits", "individual_digits": true]
        case .run(RunCut(set: .numeric)): return ["type": "Digits", "individual_digits": false]
        case .run(RunCut(set: .marks)): return ["type": "Punctuation", "behavior": "Contiguous"]
        default:
            guard let expression = cut == .gpt2 ? gpt2Expression : cut.expression else { return nil }
            return [
                "type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated",
                "invert": false,
            ]
        }
    }

    /// GPT-2's expression, which `ByteLevel` holds itself.
    private static let gpt2Expression =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Recognises the parts of a byte-level `pre_tokenizer`, which ends in `ByteLevel`.
    package init(byteLevel json: JSONValue?) throws(TokenizerError) {
        guard let json, json.object != nil else {
            throw .unsupportedPreTokenizer(json.map { $0.text() } ?? "none")
        }
        var cuts: [WordCut] = []
        var hasBytes = false
        for part in PreTokenizer.parts(json) {
            if part["type"]?.string == "ByteLevel" {
                let hasSpace = part["add_prefix_space"]?.bool ?? true
                guard !hasBytes, !hasSpace || json["type"]?.string == "ByteLevel" else {
                    throw .unsupportedPreTokenizer(part.text())
                }
                hasBytes = true
                if part["use_regex"]?.bool ?? true { cuts.append(.gpt2) }
                continue
            }
            let cut = try PreTokenizer.cut(part)
            // Falcon's: digits are looked for in the spelling of bytes, where they are also parts of letters. Merges
            // that were learned so never cross them, which makes this cut one without effect.
            if hasBytes, cut == .run(RunCut(set: .numeric)) { continue }
            guard !hasBytes || cut == .run(RunCut(set: .asciiDigits, minimum: 3, maximum: 3)) else {
                throw .unsupportedPreTokenizer(json.text())
            }
            cuts.append(cut)
        }
        guard hasBytes else { throw .unsupportedPreTokenizer(json.text()) }
        self.init(cuts)
    }

    /// The elements of a `Sequence`, or the one there is.
    static func parts(_ json: JSONValue) -> [JSONValue] {
        guard json["type"]?.string == "Sequence" else { return [json] }
        return (json["pretokenizers"]?.array ?? []).flatMap { parts($0) }
    }

    /// The cut that an element makes.
    static func cut(_ json: JSONValue) throws(TokenizerError) -> WordCut {
        switch json["type"]?.string {
        case "Digits":
            return .run(RunCut(set: .numeric, maximum: json["individual_digits"]?.bool == true ? 1 : 0))
        case "Punctuation" where json["behavior"]?.string == "Contiguous":
            return .run(RunCut(set: .marks))
        case "Punctuation" where json["behavior"]?.string ?? "Isolated" == "Isolated":
            return .run(RunCut(set: .marks, maximum: 1))
        case "BertPreTokenizer": return .bert
        case "Split":
            let behavior = json["behavior"]?.string
            let isInverted = json["invert"]?.bool == true
            guard let pattern = json["pattern"]?["Regex"]?.string, let cut = expressions[pattern] else {
                throw .unsupportedPreTokenizer(json["pattern"]?["Regex"]?.string ?? json.text())
            }
            if behavior == "Isolated", !isInverted { return cut }
            // Converters from tiktoken write the words as what remains of an inverted split: the same when the
            // expression leaves nothing out.
            if behavior == "Removed", isInverted, cut.coversText { return cut }
            throw .unsupportedPreTokenizer(json.text())
        default: throw .unsupportedPreTokenizer(json["type"]?.string ?? json.text())
        }
    }

    /// Cuts by the expressions they are known under.
    private static let expressions: [String: WordCut] = {
        var result: [String: WordCut] = [:]
        for row in Row.all {
            for cut in row.cuts {
                if let expression = cut.expression { result[expression] = cut }
            }
        }
        // Other spellings of the same.
        let cased = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
        for (expression, cut) in result {
            if expression.hasPrefix("(?i:'s") {
                result[cased + expression.dropFirst("(?i:'s|'t|'re|'ve|'m|'ll|'d)".count)] = cut
            }
        }
        for (expression, cut) in result
        where expression.contains(#"[\r\n]"#) || expression.contains("[\r\n]") {
            result[expression.replacing(#"[\r\n]"#, with: "[\r\n]")] = cut
            result[expression.replacing("[\r\n]", with: #"[\r\n]"#)] = cut
        }
        result["[\r\n]"] = .run(RunCut(set: .lineEnds, maximum: 1))
        result[#"\p{N}{1}"#] = .run(RunCut(set: .numbers, maximum: 1))
        result[
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
        ] =
            .llama(LlamaCut(digits: 1, endsAtOneLine: true))
        result[
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
        ] =
            .llama(LlamaCut())
        result[gpt2Expression] = .gpt2
        result["[0-9][0-9][0-9]"] = .run(RunCut(set: .asciiDigits, minimum: 3, maximum: 3))
        return result
    }()
}

extension WordCut {
    /// Whether each scalar is part of a match.
    fileprivate var coversText: Bool {
        switch self {
        case .gpt2, .llama, .cased, .lines: true
        default: false
        }
    }
}
