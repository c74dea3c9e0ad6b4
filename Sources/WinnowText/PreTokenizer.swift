/// How text is cut into words before merging: a list of cuts, each made within the pieces of the one before.
///
/// - Source: the `pre_tokenizer` of the models' tokenizer.json, and llama.cpp's list of names for them.
public struct PreTokenizer: Sendable, Equatable {
    /// The name under `tokenizer.ggml.pre` in GGUF files; nil for a combination that has none.
    public let name: String?
    let cuts: [WordCut]

    public static func == (left: PreTokenizer, right: PreTokenizer) -> Bool { left.cuts == right.cuts }

    /// A combination of cuts, under the first name that is known for it.
    init(_ cuts: [WordCut]) {
        self.cuts = cuts
        name = Row.all.first { $0.cuts == cuts }?.names[0]
    }

    init(_ row: Row) {
        name = row.names[0]
        cuts = row.cuts
    }

    /// GPT-2's expression.
    public static let gpt2 = PreTokenizer([.gpt2])

    /// The pre-tokenizers that have names, in the order of the table.
    public static var all: [PreTokenizer] { Row.all.map { PreTokenizer($0) } }

    static var knownNames: String { Row.all.map { $0.names[0] }.joined(separator: ", ") }

    /// The row of a name of GGUF files.
    static func row(ggufName: String) throws(TokenizerError) -> Row {
        guard let row = Row.all.first(where: { $0.names.contains(ggufName) }) else {
            throw .unsupportedPreTokenizer(ggufName)
        }
        return row
    }

    public init(ggufName: String) throws(TokenizerError) {
        self.init(try PreTokenizer.row(ggufName: ggufName))
    }
}

extension PreTokenizer {
    /// A pre-tokenizer that GGUF files have names for.
    struct Row: Sendable {
        /// The first one is written.
        var names: [String]
        var cuts: [WordCut]
        /// Whether a whole word that is a token is taken before any merge.
        var ignoresMerges = false
        /// Whether files of this kind begin with BOS when they do not say.
        var addsBOS = false

        private static let eachNumber = WordCut.run(RunCut(set: .numbers, maximum: 1))
        private static let threeNumbers = WordCut.run(RunCut(set: .numbers, maximum: 3))
        private static let eachLineEnd = WordCut.run(RunCut(set: .lineEnds, maximum: 1))
        private static let marks = WordCut.run(RunCut(set: .marks))
        private static let threeDigits = WordCut.run(RunCut(set: .asciiDigits, minimum: 3, maximum: 3))
        private static let bloom = WordCut.run(RunCut(set: .bloomLetters, lead: .space))

        static let all: [Row] = [
            Row(
                names: [
                    "gpt-2", "phi-2", "mpt", "olmo", "jais", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
                    "gigachat",
                    "a.x-4.0", "mellum", "modern-bert", "exaone4", "trillion", "granite-docling",
                ], cuts: [.gpt2]),
            Row(
                names: [
                    "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
                    "mellum2",
                ],
                cuts: [.run(RunCut(set: .numeric, maximum: 1)), .gpt2]),
            Row(
                names: [
                    "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                    "jina-v5-nano",
                ], cuts: [.llama(LlamaCut())], ignoresMerges: true, addsBOS: true),
            Row(names: ["dbrx", "smaug-bpe", "chatglm-bpe"], cuts: [.llama(LlamaCut())]),
            Row(names: ["glm4", "glm5"], cuts: [.llama(LlamaCut())], ignoresMerges: true),
            Row(
                names: [
                    "qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "solar-open", "kormo",
                    "f2llmv2",
                    "grok-2",
                ], cuts: [.llama(LlamaCut(digits: 1))]),
            Row(names: ["qwen35"], cuts: [.llama(LlamaCut(joinsMarks: true, digits: 1))]),
            Row(names: ["ufakzeka"], cuts: [.llama(LlamaCut(hasContractions: false, digits: 1))]),
            Row(names: ["seed-coder"], cuts: [.llama(LlamaCut(digits: 1, takesLineEnds: false))]),
            Row(
                names: ["bailingmoe", "bailingmoe2", "llada-moe"],
                cuts: [.llama(LlamaCut(digits: 1, endsAtOneLine: true))]),
            Row(names: ["laguna"], cuts: [.lines, .llama(LlamaCut(digits: 1))]),
            Row(names: ["minicpm5"], cuts: [threeNumbers, .llama(LlamaCut(digits: 0))], ignoresMerges: true),
            Row(names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], cuts: [.cased(CasedCut())]),
            Row(
                names: ["tekken"], cuts: [.cased(CasedCut(hasContractions: false, digits: 1))],
                ignoresMerges: true,
                addsBOS: true),
            Row(
                names: ["deepseek-llm"],
                cuts: [
                    eachLineEnd, .run(RunCut(set: .deepSeekLetters, lead: .whiteSpace)),
                    .run(RunCut(set: .deepSeekMarks, lead: .whiteSpace)), .trailingSpaces,
                    .run(RunCut(set: .deepSeekIdeographs)), .run(RunCut(set: .numeric, maximum: 1)),
                ]),
            Row(
                names: ["deepseek-coder"],
                cuts: [
                    eachLineEnd, .run(RunCut(set: .letters, lead: .whiteSpace)),
                    .run(RunCut(set: .punctuation, lead: .whiteSpace)),
                    .run(RunCut(set: .deepSeekIdeographs)),
                    .run(RunCut(set: .numeric, maximum: 1)),
                ]),
            Row(
                names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
                cuts: [threeNumbers, .run(RunCut(set: .ideographsAndKana)), .deepSeek3]),
            Row(names: ["falcon"], cuts: [marks, .gpt2, threeDigits]),
            Row(names: ["poro-chat", "bloom", "gpt3-finnish"], cuts: [bloom]),
            Row(names: ["viking"], cuts: [bloom, eachNumber]),
            Row(names: ["default"], cuts: [marks, .gpt2, .run(RunCut(set: .numbers)), threeDigits]),
        ]
    }
}
