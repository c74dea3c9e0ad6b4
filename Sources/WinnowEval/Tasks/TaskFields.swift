import WinnowJSON
import WinnowText

/// The fields of a task with their templates parsed.
struct TaskFields {
    /// A field that gives a text, a number (of a choice) or a list.
    struct Field {
        let key: String
        let file: String
        let constant: JSONValue?
        let source: String
        let template: ChatTemplate?

        init?(_ field: EvaluationTask.Field?, _ key: String, _ task: EvaluationTask) throws(TaskError) {
            self.key = key
            file = task.file
            switch field {
            case nil: return nil
            case .constant(let value):
                constant = value
                source = ""
                template = nil
            case .template(let text):
                constant = nil
                source = text
                do { template = try ChatTemplate(source: text, rules: .task) } catch {
                    throw TaskError(file: file, line: nil, path: key, reason: "\(error)")
                }
            }
        }

        /// What the field is for a document.
        ///
        /// - Parameter hasChoices: whether digits are the number of a choice.
        /// - Parameter readsLists: whether `[…]` is a list.
        func value(_ document: JSONObject, hasChoices: Bool, readsLists: Bool) throws(TaskError) -> JSONValue
        {
            if let constant { return constant }
            if let field = document[source] { return field }
            let text: String
            do { text = try template!.render(context: document) } catch {
                throw TaskError(file: file, line: nil, path: key, reason: "\(error)")
            }
            if hasChoices, !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let number = Int64(text)
            {
                return .integer(number)
            }
            if readsLists, text.count >= 2, text.hasPrefix("["), text.hasSuffix("]"),
                let list = PythonLiteral.value(of: text)
            {
                return list
            }
            return .string(text)
        }
    }

    let text: Field
    let target: Field
    let choices: Field?
    let description: Field?
    let exampleText: Field
    let exampleTarget: Field
    let exampleChoices: Field?
    let prefix: Field?
    let examplePrefix: Field?
    let file: String

    init(_ task: EvaluationTask) throws(TaskError) {
        file = task.file
        guard let text = try Field(task.text, "doc_to_text", task),
            let target = try Field(task.target, "doc_to_target", task)
        else { preconditionFailure("a field that is there") }
        self.text = text
        self.target = target
        choices = try Field(task.choices, "doc_to_choice", task)
        description = try Field(task.description.map { .template($0) }, "description", task)
        exampleText = try Field(task.examples.text, "fewshot_config.doc_to_text", task) ?? text
        exampleTarget = try Field(task.examples.target, "fewshot_config.doc_to_target", task) ?? target
        exampleChoices = try Field(task.examples.choices, "fewshot_config.doc_to_choice", task) ?? choices
        prefix = try Field(task.prefix, "gen_prefix", task)
        examplePrefix = try Field(task.examples.prefix, "fewshot_config.gen_prefix", task) ?? prefix
    }

    func choices(_ document: JSONObject, _ field: Field?) throws(TaskError) -> [String] {
        guard let field else { return [] }
        var value = try field.value(document, hasChoices: false, readsLists: true)
        // A mapping stands for its values.
        if let object = value.object { value = .array(object.pairs.map(\.value)) }
        guard let choices = value.array?.map(\.string), choices.allSatisfy({ $0 != nil }), !choices.isEmpty
        else {
            throw TaskError(
                file: file, line: nil, path: field.key,
                reason: "expected a list of texts, not \(value.text())")
        }
        return choices.map { $0! }
    }
}
