/// Makes a byte-level BPE tokenizer from texts: the same merges as Hugging Face's `BpeTrainer` makes of the
/// same words.
///
/// Ids: special tokens, the bytes in the order of GPT-2's alphabet, then merges as they were learned. Of
/// pairs that are equally frequent the one with the lowest ids is merged first. Texts are cut into words as a
/// whole; `tokenizers` reads files line by line, so that no word of it holds a line end and what follows.
///
/// - Source: arXiv 1508.07909; ties and stops as in huggingface/tokenizers, `BpeTrainer`.
/// - Departure: counts are 64 bits wide, there 32.
public struct BytePairTrainer: Sendable {
    public struct Configuration: Sendable {
        /// Tokens in all, special ones and bytes among them; fewer when the text has no more pairs.
        public var vocabularySize = 32000
        /// Rarer pairs are not merged.
        public var minimumFrequency = 2
        /// In the order of their ids, from 0.
        public var specialTokens = ["<|endoftext|>"]
        /// Whether bytes that the text lacks are tokens too: without them some text cannot be spelled.
        public var hasAllBytes = true
        public var preTokenizer = PreTokenizer.gpt2

        public init() {}
    }

    public let configuration: Configuration
    private var words = WordCounter()
    /// Bytes of text so far.
    public private(set) var byteCount = 0

    /// - Throws: ``TokenizerTrainingError``.
    public init(_ configuration: Configuration = Configuration()) throws(TokenizerTrainingError) {
        self.configuration = configuration
        for (index, token) in configuration.specialTokens.enumerated() {
            guard !token.isEmpty else { throw .emptySpecialToken }
            guard !configuration.specialTokens[..<index].contains(token) else {
                throw .repeatedSpecialToken(token)
            }
        }
        guard (try? PreTokenizer(byteLevel: configuration.preTokenizer.json)) == configuration.preTokenizer
        else {
            throw .preTokenizerCannotBeWritten(configuration.preTokenizer.name ?? "unnamed")
        }
        let least = configuration.specialTokens.count + (configuration.hasAllBytes ? 256 : 1)
        guard configuration.vocabularySize >= least else {
            throw .vocabularyTooSmall(configuration.vocabularySize, least: least)
        }
        guard configuration.minimumFrequency >= 0 else {
            throw .negativeFrequency(configuration.minimumFrequency)
        }
    }

    /// Different words so far.
    public var wordCount: Int { words.wordCount }

    /// Counts the words of a text.
    public mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { count($0) }
    }

    /// The same of bytes that should be UTF-8; what is not becomes U+FFFD.
    public mutating func add(bytes: [UInt8]) { add(String(decoding: bytes, as: UTF8.self)) }

    private mutating func count(_ text: UnsafeBufferPointer<UInt8>) {
        guard let start = text.baseAddress, !text.isEmpty else { return }
        byteCount += text.count
        // Out of self, so that the scanner's closure may write to it.
        var counter = WordCounter()
        swap(&counter, &words)
        WordScanner.withScanner(of: start) { scanner in
            scanner.forEachWord(configuration.preTokenizer.cuts[...], from: 0, end: text.count) { from, to in
                counter.add(start + from, to - from)
            }
        }
        swap(&counter, &words)
    }

    /// Learns the merges.
    ///
    /// - Parameter progress: tokens there are, of those wanted; returns whether to go on.
    /// - Throws: ``TokenizerTrainingError``.
    public func train(progress: (Int, Int) -> Bool = { _, _ in true }) throws(TokenizerTrainingError)
        -> TokenizerDefinition
    {
        guard words.wordCount > 0 else { throw .noText }
        var vocabulary = TrainedVocabulary()
        for token in configuration.specialTokens { _ = vocabulary.add(Array(token.utf8)) }
        let byteIDs = addBytes(&vocabulary)
        guard vocabulary.tokens.count <= configuration.vocabularySize else {
            throw .vocabularyTooSmall(configuration.vocabularySize, least: vocabulary.tokens.count)
        }
        var learner = MergeLearner()
        words.forEach { learner.add(word: $0, ids: byteIDs, count: $1) }
        learner.begin()
        var merges: [TokenizerDefinition.Merge] = []
        let minimum = Int64(configuration.minimumFrequency)
        while vocabulary.tokens.count < configuration.vocabularySize {
            if merges.count % 64 == 0, !progress(vocabulary.tokens.count, configuration.vocabularySize) {
                throw .cancelled
            }
            guard let (left, right, entry) = learner.next(minimum: minimum) else { break }
            let merged = vocabulary.add(vocabulary.tokens[Int(left)] + vocabulary.tokens[Int(right)])
            merges.append(.init(left: left, right: right, merged: merged))
            learner.merge(left, right, into: merged, entry)
        }
        _ = progress(configuration.vocabularySize, configuration.vocabularySize)
        return definition(vocabulary, Self.lastOfEach(merges))
    }

    /// The id of each byte, -1 for those without.
    private func addBytes(_ vocabulary: inout TrainedVocabulary) -> [Int32] {
        var isThere = [Bool](repeating: configuration.hasAllBytes, count: 256)
        if !configuration.hasAllBytes {
            words.forEach { word, _ in for byte in word { isThere[Int(byte)] = true } }
        }
        var ids = [Int32](repeating: -1, count: 256)
        for byte in (0..<256).sorted(by: { ByteAlphabet.scalars[$0].value < ByteAlphabet.scalars[$1].value })
        where isThere[byte] {
            ids[byte] = vocabulary.add(Array(String(Character(ByteAlphabet.scalars[byte])).utf8))
        }
        return ids
    }

    /// A pair that was merged twice, which two spellings of one token can bring about, counts where it was
    /// last.
    private static func lastOfEach(_ merges: [TokenizerDefinition.Merge]) -> [TokenizerDefinition.Merge] {
        var seen: Set<UInt64> = []
        return merges.reversed().filter { seen.insert(PairTable.key($0.left, $0.right)).inserted }.reversed()
    }

    private func definition(
        _ vocabulary: TrainedVocabulary, _ merges: [TokenizerDefinition.Merge]
    ) -> TokenizerDefinition {
        let special = configuration.specialTokens
        let end = special.firstIndex(of: "<|endoftext|>").map { TokenID($0) }
        return TokenizerDefinition(
            tokens: vocabulary.tokens.map { String(decoding: $0, as: UTF8.self) },
            kinds: vocabulary.tokens.indices.map { $0 < special.count ? .control : .normal },
            addedTokens: special.enumerated().map { .init(id: TokenID($0), content: $1, isSpecial: true) },
            merges: merges, preTokenizer: configuration.preTokenizer, ignoresMerges: false, bosID: nil,
            eosID: end,
            unknownID: nil, paddingID: nil, addsBOS: false, addsEOS: false, chatTemplate: nil)
    }
}

/// Tokens by id and by spelling.
private struct TrainedVocabulary {
    private(set) var tokens: [[UInt8]] = []
    private var ids: [[UInt8]: Int32] = [:]

    /// The id of a token, a new one for a new spelling.
    mutating func add(_ token: [UInt8]) -> Int32 {
        if let id = ids[token] { return id }
        let id = Int32(tokens.count)
        tokens.append(token)
        ids[token] = id
        return id
    }
}

/// Why no tokenizer can be made.
public enum TokenizerTrainingError: Error, Equatable, Sendable, CustomStringConvertible {
    case noText
    case vocabularyTooSmall(Int, least: Int)
    case negativeFrequency(Int)
    case emptySpecialToken
    case repeatedSpecialToken(String)
    case preTokenizerCannotBeWritten(String)
    case cancelled

    public var description: String {
        switch self {
        case .noText: "there is no text to learn a tokenizer from"
        case .vocabularyTooSmall(let size, let least):
            "a vocabulary of \(size) is too small: special tokens and bytes alone are \(least)"
        case .negativeFrequency(let value): "a minimum frequency of \(value); expected 0 or more"
        case .emptySpecialToken: "a special token is empty"
        case .repeatedSpecialToken(let token): "the special token '\(token)' is given twice"
        case .preTokenizerCannotBeWritten(let name):
            "the pre-tokenizer '\(name)' has no spelling in tokenizer.json: choose another, such as gpt-2 or qwen2"
        case .cancelled: "stopped"
        }
    }
}
