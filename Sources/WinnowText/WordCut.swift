/// One step of a pre-tokenizer: an expression whose matches, and what lies between them, become pieces of their own.
///
/// The expressions are a few families with parameters; ``WordScanner`` runs each without a regex engine.
enum WordCut: Sendable, Equatable {
    /// GPT-2's: contractions, letters, numbers and others with a space before them, white space.
    case gpt2
    /// Llama 3's and its relatives.
    case llama(LlamaCut)
    /// GPT-4o's and Tekken's, where words also end before a capital.
    case cased(CasedCut)
    /// DeepSeek 3's last step.
    case deepSeek3
    /// A run of one kind of scalars.
    case run(RunCut)
    /// `\s+$`
    case trailingSpaces
    /// Runs of line feeds, and what is between them: a cut that loses no merges of SentencePiece models.
    case lines
    /// Before U+2581 after another scalar (`all` false), or before each.
    case spaceMarks(all: Bool)
    /// BERT's: white space, each mark alone, runs of others. White space is no word.
    case bert

    /// The expression as tokenizer.json spells it; nil for what is built into `tokenizers` under another name.
    var expression: String? {
        switch self {
        case .gpt2, .spaceMarks, .bert: nil
        case .llama(let cut): cut.expression
        case .cased(let cut): cut.expression
        case .deepSeek3:
            ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
                + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        case .run(let cut): cut.expression
        case .trailingSpaces: #"\s+$"#
        case .lines: #"[^\n]+|[\n]+"#
        }
    }
}

/// The contractions that expressions take off words, in the spelling with both cases.
private let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

/// `(?i:'s|…)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` with changes.
struct LlamaCut: Sendable, Equatable {
    var hasContractions = true
    /// Marks (`\p{M}`) count as letters.
    var joinsMarks = false
    /// Numbers in a word at most; 0 for no limit.
    var digits = 3
    /// Whether line ends after other characters belong to them.
    var takesLineEnds = true
    /// Spelled with `\s*[\r\n]`, which means the same because `\s*` is greedy.
    var endsAtOneLine = false

    var expression: String {
        let letters = joinsMarks ? #"[\p{L}\p{M}]+"# : #"\p{L}+"#
        let numbers =
            digits == 1 ? #"\p{N}"# : digits == 0 ? #"\p{N}+"# : #"\p{N}{1,\#(digits)}"#
        let others =
            joinsMarks
            ? #"[^\s\p{L}\p{M}\p{N}]+"# : takesLineEnds ? #"[^\s\p{L}\p{N}]+"# : #"[^\s\p{L}\p{N}\r\n]+"#
        return (hasContractions ? contractions + "|" : "") + #"[^\r\n\p{L}\p{N}]?"# + letters + "|" + numbers
            + "| ?"
            + others + (takesLineEnds ? #"[\r\n]*"# : "") + (endsAtOneLine ? #"|\s*[\r\n]"# : #"|\s*[\r\n]+"#)
            + #"|\s+(?!\S)|\s+"#
    }
}

/// Words of capitals, then small letters; letters without case and marks count as both.
struct CasedCut: Sendable, Equatable {
    var hasContractions = true
    var digits = 3

    var expression: String {
        let prefix = #"[^\r\n\p{L}\p{N}]?"#
        let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
        let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
        let ending = hasContractions ? contractions + "?" : ""
        let numbers = digits == 1 ? #"\p{N}"# : #"\p{N}{1,\#(digits)}"#
        return "\(prefix)\(upper)*\(lower)+\(ending)|\(prefix)\(upper)+\(lower)*\(ending)|\(numbers)"
            + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
}

/// A run of scalars of a set, with at most one space or white space before it.
struct RunCut: Sendable, Equatable {
    enum Lead: Sendable, Equatable { case none, space, whiteSpace }

    var set: ScalarSet
    var lead = Lead.none
    var minimum = 1
    /// 0 for no limit.
    var maximum = 0

    var expression: String {
        let start = lead == .none ? "" : lead == .space ? " ?" : #"\s?"#
        if maximum == minimum { return start + (0..<minimum).map { _ in set.expression }.joined() }
        return start + set.expression + (maximum == 0 ? "+" : "{\(minimum),\(maximum)}")
    }
}
