import WinnowJSON

/// A task of lm-evaluation-harness (0.4): documents, and how they become a model's requests and its score.
///
/// - Source: github.com/EleutherAI/lm-evaluation-harness, docs/task_guide.md and api/task.py.
public struct EvaluationTask: Sendable {
    public enum Output: String, Sendable, CaseIterable {
        case multipleChoice = "multiple_choice"
        case logLikelihood = "loglikelihood"
        case rollingLogLikelihood = "loglikelihood_rolling"
        case generateUntil = "generate_until"

        /// Metrics of a task that names none.
        var defaultMetrics: [TaskMetric] {
            switch self {
            case .multipleChoice: [TaskMetric(.accuracy), TaskMetric(.normalizedAccuracy)]
            case .logLikelihood: [TaskMetric(.perplexity), TaskMetric(.accuracy)]
            case .rollingLogLikelihood:
                [TaskMetric(.wordPerplexity), TaskMetric(.bytePerplexity), TaskMetric(.bitsPerByte)]
            case .generateUntil: [TaskMetric(.exactMatch)]
            }
        }
    }

    /// A text of a document, a text or choices made from it by a template, or what stands in the task itself.
    public enum Field: Sendable {
        /// The name of a document's field, else a Jinja template.
        case template(String)
        case constant(JSONValue)
    }

    public enum Sampler: String, Sendable, CaseIterable {
        /// Python's `random.Random(1234).sample`, document after document.
        case `default`
        case firstN = "first_n"
    }

    /// How examples before a question are written, where that differs from the question itself.
    public struct Examples: Sendable {
        public var sampler = Sampler.default
        /// nil: the training documents, else those of validation, else those that are scored.
        public var split: String?
        /// Examples that stand in the task.
        public var samples: [JSONObject]?
        public var indices: [Int]?
        public var text: Field?
        public var target: Field?
        public var choices: Field?
        /// nil: as the question's.
        public var prefix: Field?
        public var targetDelimiter: String?
        public var delimiter: String?
    }

    public var name: String
    /// What the figures are shown under; the name, unless the task says another.
    public var alias: String
    public var file: String
    public var output = Output.generateUntil
    /// Files of each split.
    public var dataFiles: [String: [String]] = [:]
    public var trainingSplit: String?
    public var validationSplit: String?
    public var testSplit: String?
    public var text: Field
    public var target: Field
    public var choices: Field?
    public var description: String?
    /// What every answer begins with: part of the prompt.
    public var prefix: Field?
    public var targetDelimiter = " "
    public var exampleDelimiter = "\n\n"
    public var examples = Examples()
    public var exampleCount = 0
    /// The task itself asks for no examples: a number given from outside does not change it.
    public var takesNoExamples = false
    public var metrics: [TaskMetric] = []
    public var filters: [TaskFilter.Pipeline] = [TaskFilter.Pipeline(name: "none", filters: [])]
    /// Texts that end a generation.
    public var until: [String] = []
    public var maxGeneratedTokens = 256
}

/// How answers are scored.
public struct TaskMetric: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case accuracy = "acc"
        /// The log-likelihood of a choice over its characters.
        case normalizedAccuracy = "acc_norm"
        /// The log-likelihood of a choice over its bytes.
        case byteAccuracy = "acc_bytes"
        /// The log-likelihood of a choice less that without a question.
        case mutualInformationAccuracy = "acc_mutual_info"
        case exactMatch = "exact_match"
        case perplexity
        case wordPerplexity = "word_perplexity"
        case bytePerplexity = "byte_perplexity"
        case bitsPerByte = "bits_per_byte"

        func belongs(to output: EvaluationTask.Output) -> Bool {
            switch self {
            case .accuracy: output == .multipleChoice || output == .logLikelihood
            case .normalizedAccuracy, .byteAccuracy, .mutualInformationAccuracy: output == .multipleChoice
            case .exactMatch: output == .multipleChoice || output == .generateUntil
            case .perplexity: output == .logLikelihood
            case .wordPerplexity, .bytePerplexity, .bitsPerByte: output == .rollingLogLikelihood
            }
        }
    }

    public var kind: Kind
    /// Of exact matches: what is left out of answer and target before they are compared, in this order.
    public var ignoredPatterns: [String] = []
    public var ignoresCase = false
    public var ignoresPunctuation = false
    public var ignoresNumbers = false

    public init(_ kind: Kind) { self.kind = kind }
}
