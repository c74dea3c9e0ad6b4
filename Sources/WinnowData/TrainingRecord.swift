import WinnowJSON
import WinnowText

/// What one line of training data holds.
enum TrainingRecord {
    case text(String)
    /// Learned: the completion.
    case completion(prompt: String, completion: String)
    /// Learned: what the assistant says.
    case messages([ChatMessage])

    static let expectation =
        #"expected {"text": "…"}, {"prompt": "…", "completion": "…"} or {"messages": [{"role": "…", "content": "…"}]}"#

    /// - Throws: ``DataError/badLine(file:line:reason:)``.
    init(_ line: [UInt8], file: String, number: Int) throws(DataError) {
        func bad(_ reason: String) -> DataError { .badLine(file: file, line: number, reason: reason) }
        let value: JSONValue
        do { value = try JSONValue(parsing: line) } catch { throw bad("\(error)") }
        guard let object = value.object else { throw bad("not an object; \(Self.expectation)") }
        if let text = object["text"] {
            guard let text = text.string else { throw bad("\"text\" is not a string") }
            self = .text(text)
        } else if object["prompt"] != nil || object["completion"] != nil {
            guard let prompt = object["prompt"]?.string else {
                throw bad("\"prompt\" is missing or no string")
            }
            guard let completion = object["completion"]?.string else {
                throw bad("\"completion\" is missing or no string")
            }
            guard !completion.isEmpty else { throw bad("\"completion\" is empty: there is nothing to learn") }
            self = .completion(prompt: prompt, completion: completion)
        } else if let list = object["messages"] {
            guard let list = list.array, !list.isEmpty else {
                throw bad("\"messages\" is not a list of messages")
            }
            var messages: [ChatMessage] = []
            for (index, item) in list.enumerated() {
                guard let role = item["role"]?.string, let content = item["content"]?.string else {
                    throw bad("message \(index + 1) lacks \"role\" or \"content\" as strings")
                }
                messages.append(ChatMessage(role: role, content: content))
            }
            guard messages.contains(where: { $0.role == "assistant" }) else {
                throw bad("no message of the role \"assistant\": there is nothing to learn")
            }
            self = .messages(messages)
        } else {
            let keys = object.pairs.map { "\"\($0.0)\"" }.joined(separator: ", ")
            throw bad("keys \(keys.isEmpty ? "none" : keys); \(Self.expectation)")
        }
    }
}
