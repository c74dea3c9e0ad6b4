import WinnowJSON

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A document's contribution to a metric: a value, or for perplexities of texts a log-likelihood and what it is spread
/// over.
struct MetricValue: Sendable {
    var value: Double
    var weight = 1.0
}

extension TaskMetric {
    /// Of a question with choices.
    ///
    /// - Parameter unconditional: scores of the choices without a context, for mutual information.
    /// - Returns: nil for a metric of other outputs.
    func value(
        _ question: TaskQuestion, _ scores: [LogLikelihood.Score], unconditional: [LogLikelihood.Score]
    ) -> MetricValue? {
        let sums = scores.map(\.sum)
        let gold = question.rightChoices
        func isRight(_ values: [Double]) -> MetricValue {
            // The first of equals.
            let best = values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
            return MetricValue(value: gold.contains(best) ? 1 : 0)
        }
        switch kind {
        case .accuracy: return isRight(sums)
        case .normalizedAccuracy:
            return isRight(zip(sums, question.choices).map { $0 / Double($1.unicodeScalars.count) })
        case .byteAccuracy: return isRight(zip(sums, question.choices).map { $0 / Double($1.utf8.count) })
        case .mutualInformationAccuracy: return isRight(zip(sums, unconditional).map { $0 - $1.sum })
        case .exactMatch:
            return MetricValue(value: gold.contains { scores.indices ~= $0 && scores[$0].isGreedy } ? 1 : 0)
        default: return nil
        }
    }

    /// Of one continuation, or a whole text.
    func value(_ score: LogLikelihood.Score, text: String) -> MetricValue? {
        switch kind {
        case .accuracy: MetricValue(value: score.isGreedy ? 1 : 0)
        case .perplexity: MetricValue(value: score.sum)
        case .wordPerplexity: MetricValue(value: score.sum, weight: Double(TaskMetric.words(text)))
        case .bytePerplexity, .bitsPerByte: MetricValue(value: score.sum, weight: Double(text.utf8.count))
        default: nil
        }
    }

    /// Of an answer; any of several targets counts.
    func value(answer: String, _ gold: JSONValue) throws -> MetricValue {
        let answer = try prepared(answer)
        let targets = try (gold.array ?? [gold]).map { try prepared($0.string ?? $0.text()) }
        return MetricValue(value: targets.contains(answer) ? 1 : 0)
    }

    private func prepared(_ text: String) throws -> String {
        var text = text
        for pattern in ignoredPatterns { text.replace(try Regex(pattern), with: "") }
        if ignoresCase { text = text.lowercased() }
        if ignoresPunctuation {
            text.unicodeScalars.removeAll { $0.isASCII && ($0.properties.generalCategory.isASCIIPunctuation) }
        }
        if ignoresNumbers { text.unicodeScalars.removeAll { ("0"..."9").contains($0) } }
        return text
    }

    /// Runs of anything but white space, and empty ones at either end: Python's `re.split(r"\s+", text)`.
    static func words(_ text: String) -> Int {
        var count = 1
        var wasSpace = false
        for scalar in text.unicodeScalars {
            if scalar.isPythonSpace, !wasSpace { count += 1 }
            wasSpace = scalar.isPythonSpace
        }
        return count
    }

    /// What the values of all documents come to.
    func aggregate(_ values: [MetricValue]) -> Double {
        let sum = values.reduce(0) { $0 + $1.value }
        let weight = values.reduce(0) { $0 + $1.weight }
        switch kind {
        case .perplexity, .wordPerplexity, .bytePerplexity: return exp(-sum / weight)
        case .bitsPerByte: return -sum / weight / log(2)
        default: return sum / weight
        }
    }

    /// Of a mean: the sample's deviation over the root of its size. Of `perplexity`: the deviation of 100,000 samples that
    /// are drawn with putting back, with Python's generator and lm-evaluation-harness's seeds. It gives none for the
    /// weighted perplexities: nil.
    func standardError(_ values: [MetricValue]) -> Double? {
        if kind == .perplexity { return resampledError(values.map(\.value)) }
        guard kind.isHigherBetter, values.count > 1 else { return nil }
        let count = Double(values.count)
        let mean = aggregate(values)
        let squares = values.reduce(0) { $0 + ($1.value - mean) * ($1.value - mean) }
        return (squares / (count - 1)).squareRoot() / count.squareRoot()
    }

    /// - Source: lm-evaluation-harness, `bootstrap_stderr`: chunks of 1,000 samples, each chunk's generator seeded by
    ///   its number.
    private func resampledError(_ values: [Double]) -> Double? {
        guard values.count > 1 else { return nil }
        let (chunks, samples) = (100, 1000)
        var results: [Double] = []
        results.reserveCapacity(chunks * samples)
        for chunk in 0..<chunks {
            var random = PythonRandom(seed: UInt32(chunk))
            for _ in 0..<samples {
                var sum = 0.0
                for _ in values.indices { sum += values[random.choice(values.count)] }
                results.append(exp(-sum / Double(values.count)))
            }
        }
        let mean = results.reduce(0, +) / Double(results.count)
        let squares = results.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(results.count - 1)).squareRoot()
    }
}

extension TaskQuestion {
    /// Numbers of the choices that are right; none where the target is no choice.
    var rightChoices: [Int] {
        (gold.array ?? [gold]).compactMap { value in
            value.string.map { text in choices.firstIndex { Array($0.utf8) == Array(text.utf8) } }
                ?? value.integer
        }
    }
}

extension Unicode.GeneralCategory {
    /// What Python's `string.punctuation` holds, asked of ASCII characters.
    fileprivate var isASCIIPunctuation: Bool {
        switch self {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .otherPunctuation,
            .mathSymbol, .currencySymbol, .modifierSymbol:
            true
        default: false
        }
    }
}
