import WinnowCore
import WinnowJSON
import WinnowModels
import WinnowText

/// Runs tasks on a model.
public struct TaskRun: Sendable {
    /// What a task came to.
    public struct Result: Sendable {
        public struct Figure: Sendable {
            public var metric: TaskMetric.Kind
            /// The pipeline of filters that answers went through: `none` without.
            public var filter: String
            public var value: Double
            public var standardError: Double?
        }

        public var task: String
        public var alias: String
        public var figures: [Figure]
        public var documents: Int
        public var examples: Int
        /// A record of each document: what was asked, answered and right.
        public var samples: [JSONValue]
    }

    /// Scores the first documents only; nil: all.
    public var limit: Int?
    /// Examples before each question; nil: as the task says. A task that asks for none itself gets none.
    public var exampleCount: Int?
    public var keepsSamples = false
    /// How prompts are written: as plain text by default.
    public var style = PromptStyle()

    public init() {}

    /// Answers one prompt greedily, up to a stop text or a number of tokens.
    public typealias Generation = (_ prompt: String, _ stops: [String], _ maxTokens: Int) throws -> String

    /// - Parameter read: the bytes of a file.
    /// - Parameter generate: for tasks that generate.
    /// - Parameter progress: documents done, and how many there are.
    /// - Throws: ``TaskError``, ``LogLikelihoodError``, ``ModelError/cancelled``, what `read` and `generate` throw.
    public func run(
        _ task: EvaluationTask, on likelihood: LogLikelihood, read: (String) throws -> [UInt8],
        generate: Generation, cancellation: CancellationFlag? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Result {
        var task = task
        if let exampleCount, !task.takesNoExamples { task.exampleCount = exampleCount }
        let documents = try TaskDocuments(task, read: read)
        var prompts = try TaskPrompts(task, documents, style: style)
        let count = min(documents.scored.count, limit ?? .max)
        var tally = Tally()
        var samples: [JSONValue] = []
        for (index, document) in documents.scored.prefix(count).enumerated() {
            let question = try prompts.question(document)
            let answer = try self.answer(
                task, question, likelihood, generate, cancellation
            ) { metric, filter, value in
                tally.add(metric, filter, value)
            }
            if keepsSamples {
                samples.append([
                    "doc_id": .integer(Int64(index)), "doc": .object(document), "target": question.gold,
                    "contexts": .array(question.contexts.map { .string($0) }),
                    "continuations": .array(question.continuations.map { .string($0) }), "answers": answer,
                ])
            }
            progress(index + 1, count)
        }
        return Result(
            task: task.name, alias: task.alias, figures: tally.figures, documents: count,
            examples: task.exampleCount,
            samples: samples)
    }

    /// - Returns: what the model said.
    private func answer(
        _ task: EvaluationTask, _ question: TaskQuestion, _ likelihood: LogLikelihood, _ generate: Generation,
        _ cancellation: CancellationFlag?, add: (TaskMetric, String, MetricValue) -> Void
    ) throws -> JSONValue {
        func json(_ scores: [LogLikelihood.Score]) -> JSONValue {
            .array(scores.map { ["loglikelihood": .number($0.sum), "is_greedy": .bool($0.isGreedy)] })
        }
        let pipelines = task.filters.map(\.name)
        switch task.output {
        case .multipleChoice:
            let scores = try likelihood.scores(
                Array(zip(question.contexts, question.continuations)).map { ($0, $1) },
                cancellation: cancellation)
            let needsBare = task.metrics.contains { $0.kind == .mutualInformationAccuracy }
            let bare =
                needsBare
                ? try question.continuations.map {
                    try likelihood.scores([("", $0)], cancellation: cancellation)[0]
                } : []
            for metric in task.metrics {
                guard let value = metric.value(question, scores, unconditional: bare) else { continue }
                for filter in pipelines { add(metric, filter, value) }
            }
            return json(scores)
        case .logLikelihood:
            let scores = try likelihood.scores(
                [(question.contexts[0], question.continuations[0])], cancellation: cancellation)
            for metric in task.metrics {
                guard let value = metric.value(scores[0], text: question.continuations[0]) else { continue }
                for filter in pipelines { add(metric, filter, value) }
            }
            return json(scores)
        case .rollingLogLikelihood:
            let text = question.continuations[0]
            let score = LogLikelihood.Score(
                sum: try likelihood.rolling(text, cancellation: cancellation), isGreedy: false)
            for metric in task.metrics {
                guard let value = metric.value(score, text: text) else { continue }
                for filter in pipelines { add(metric, filter, value) }
            }
            return .number(score.sum)
        case .generateUntil:
            let text = try generate(question.contexts[0], task.until, task.maxGeneratedTokens)
            for pipeline in task.filters {
                let filtered = try pipeline.apply(text)
                for metric in task.metrics {
                    add(metric, pipeline.name, try metric.value(answer: filtered, question.gold))
                }
            }
            return .string(text)
        }
    }

    /// Values of each metric behind each pipeline, in the order in which they first came.
    private struct Tally {
        private var keys: [(metric: TaskMetric, filter: String)] = []
        private var values: [[MetricValue]] = []

        mutating func add(_ metric: TaskMetric, _ filter: String, _ value: MetricValue) {
            if let place = keys.firstIndex(where: { $0.metric == metric && $0.filter == filter }) {
                values[place].append(value)
            } else {
                keys.append((metric, filter))
                values.append([value])
            }
        }

        var figures: [Result.Figure] {
            zip(keys, values).map { key, values in
                Result.Figure(
                    metric: key.metric.kind, filter: key.filter, value: key.metric.aggregate(values),
                    standardError: key.metric.standardError(values))
            }
        }
    }
}

extension TaskRun.Result {
    /// The task's entry under lm-evaluation-harness's `results`: `acc,none` and `acc_stderr,none`.
    public var json: JSONObject {
        var object = JSONObject([("alias", .string(alias)), ("sample_len", .integer(Int64(documents)))])
        for figure in figures { figure.add(to: &object) }
        return object
    }
}

extension TaskRun.Result.Figure {
    func add(to object: inout JSONObject) {
        object["\(metric.rawValue),\(filter)"] = .number(value)
        object["\(metric.rawValue)_stderr,\(filter)"] = standardError.map { .number($0) } ?? "N/A"
    }
}
