import WinnowJSON
import WinnowText

/// What a model is asked about one document.
struct TaskQuestion {
    /// A context for each request: one for all choices, or one for each where the choices are contexts.
    var contexts: [String]
    /// The text whose likelihood is asked for, one a request; empty for generations.
    var continuations: [String]
    var choices: [String]
    /// The right answer: the number of a choice, a text, or a list of either.
    var gold: JSONValue
}

/// Turns documents into questions as lm-evaluation-harness does, examples drawn in the order of the documents.
struct TaskPrompts {
    private let task: EvaluationTask
    private let style: PromptStyle
    private let fields: TaskFields
    private let documents: TaskDocuments
    private var random = PythonRandom(seed: 1234)

    init(
        _ task: EvaluationTask, _ documents: TaskDocuments, style: PromptStyle = PromptStyle()
    ) throws(TaskError) {
        self.task = task
        self.documents = documents
        self.style = style
        fields = try TaskFields(task)
    }

    private func error(_ path: String, _ reason: String) -> TaskError {
        TaskError(file: task.file, line: nil, path: path, reason: reason)
    }

    mutating func question(_ document: JSONObject) throws(TaskError) -> TaskQuestion {
        var opening: [TaskMessage] = []
        let description = try plain(fields.description, document) ?? ""
        let system = TaskMessage.joined(style.system, description, by: task.exampleDelimiter)
        if !system.isEmpty { opening.append(TaskMessage(role: "system", content: system)) }
        for example in try draw(beside: document) { opening += try turn(of: example) }
        let hasChoices = fields.choices != nil
        let choices = try fields.choices(document, fields.choices)
        let gold = try fields.target.value(document, hasChoices: hasChoices, readsLists: true)
        let asked = try fields.text.value(document, hasChoices: hasChoices, readsLists: false)
        let prefix = try plain(fields.prefix, document)
        func context(_ question: String, _ delimiter: String) throws(TaskError) -> String {
            let turn = TaskMessage.turn(question, prefix: prefix, answer: nil, delimiter: delimiter, end: "")
            do { return try style.text(opening + turn) } catch { throw self.error("", "\(error)") }
        }
        if task.output == .multipleChoice, let number = asked.integer, asked.string == nil {
            // The choices are contexts, the target goes on from each: its score decides, and the text says which is right.
            let target = try text(gold, "doc_to_target")
            return TaskQuestion(
                contexts: try choices.map { choice throws(TaskError) in try context(choice, "") },
                continuations: choices.map { _ in delimiter + target }, choices: choices,
                gold: .integer(Int64(number)))
        }
        let context = try context(text(asked, "doc_to_text"), task.targetDelimiter)
        switch task.output {
        case .multipleChoice:
            return TaskQuestion(
                contexts: choices.map { _ in context }, continuations: choices.map { delimiter + $0 },
                choices: choices, gold: gold)
        case .logLikelihood:
            return TaskQuestion(
                contexts: [context], continuations: [try text(gold, "doc_to_target")], choices: [], gold: gold
            )
        case .rollingLogLikelihood:
            return TaskQuestion(
                contexts: [], continuations: [try text(gold, "doc_to_target")], choices: [], gold: gold)
        case .generateUntil:
            var answer = gold
            if hasChoices {
                guard let number = gold.integer, choices.indices.contains(number) else {
                    throw error("doc_to_target", "\(gold.text()) is no number of a choice")
                }
                answer = .string(choices[number])
            }
            return TaskQuestion(contexts: [context], continuations: [], choices: choices, gold: answer)
        }
    }

    /// What parts a context from a choice. A chat template parts them itself, unless an answer is begun that ends with no
    /// white space; the harness looks at the key as it stands in the task, before its template is filled.
    private var delimiter: String {
        guard style.chat != nil else { return task.targetDelimiter }
        guard case .template(let prefix) = task.prefix, let last = prefix.unicodeScalars.last,
            !last.isPythonSpace
        else { return "" }
        return task.targetDelimiter
    }

    /// Examples for a document. The first `count` of those that are left without it, for either sampler.
    private mutating func draw(beside document: JSONObject) throws(TaskError) -> [JSONObject] {
        let count = task.exampleCount
        guard count > 0 else { return [] }
        let pool = documents.examples
        var drawn: [JSONObject]
        switch task.examples.sampler {
        case .firstN: drawn = documents.examplesAreScored ? pool.filter { $0 != document } : pool
        case .default:
            let places = random.sample(pool.count, count: documents.examplesAreScored ? count + 1 : count)
            drawn = places.map { pool[$0] }
            if documents.examplesAreScored { drawn.removeAll { $0 == document } }
            if drawn.count < count {
                // Documents that are the same stand more than once.
                let others = pool.filter { $0 != document }
                guard others.count >= count else {
                    throw error("num_fewshot", "\(others.count) other documents")
                }
                drawn = random.sample(others.count, count: count).map { others[$0] }
            }
        }
        return Array(drawn.prefix(count))
    }

    private func turn(of example: JSONObject) throws(TaskError) -> [TaskMessage] {
        let hasChoices = fields.exampleChoices != nil
        let choices = try fields.choices(example, fields.exampleChoices)
        func choice(_ value: JSONValue, _ key: String) throws(TaskError) -> String {
            guard hasChoices, value.string == nil, let number = value.integer else {
                return try text(value.array?.first ?? value, key)
            }
            guard choices.indices.contains(number) else {
                throw error(key, "\(number) is no number of a choice")
            }
            return choices[number]
        }
        let asked = try fields.exampleText.value(example, hasChoices: hasChoices, readsLists: false)
        let target = try fields.exampleTarget.value(example, hasChoices: hasChoices, readsLists: true)
        // A target that is no text at all is no answer, while a choice that is empty is one.
        return TaskMessage.turn(
            try choice(asked, "doc_to_text"), prefix: try plain(fields.examplePrefix, example),
            answer: target.string == "" ? nil : try choice(target, "doc_to_target"),
            delimiter: task.examples.targetDelimiter ?? task.targetDelimiter,
            end: task.examples.delimiter ?? task.exampleDelimiter)
    }

    private func plain(_ field: TaskFields.Field?, _ document: JSONObject) throws(TaskError) -> String? {
        guard let field else { return nil }
        return try text(field.value(document, hasChoices: false, readsLists: false), field.key)
    }

    private func text(_ value: JSONValue, _ key: String) throws(TaskError) -> String {
        switch value {
        case .string(let text): return text
        case .integer, .number: return value.text()
        default: throw error(key, "expected a text, not \(value.text())")
        }
    }
}
