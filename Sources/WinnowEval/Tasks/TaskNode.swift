import WinnowJSON
import WinnowYAML

/// A value of a task's file, and where it stands.
struct TaskNode {
    let document: YAMLDocument
    let path: YAMLPath
    let value: JSONValue

    init(_ document: YAMLDocument, _ path: YAMLPath = YAMLPath(), _ value: JSONValue? = nil) {
        self.document = document
        self.path = path
        self.value = value ?? document.value
    }

    func error(_ reason: String) -> TaskError {
        TaskError(file: document.file, line: document.line(of: path), path: "\(path)", reason: reason)
    }

    /// - Returns: nil where the key is missing or null.
    subscript(key: String) -> TaskNode? {
        guard let found = value[key], !found.isNull else { return nil }
        return TaskNode(document, path.appending(key), found)
    }

    func keys() throws(TaskError) -> [String] {
        guard let object = value.object else { throw error("expected a mapping of keys to values") }
        return object.keys
    }

    func elements() throws(TaskError) -> [TaskNode] {
        guard let array = value.array else { throw error("expected a list") }
        return array.enumerated().map { TaskNode(document, path.appending($0.offset), $0.element) }
    }

    func refuseOthers(than known: [String]) throws(TaskError) {
        for key in try keys() where !known.contains(key) {
            throw TaskNode(document, path.appending(key), .null).error(
                "this key is not read here; known are \(known.joined(separator: ", "))")
        }
    }

    func string() throws(TaskError) -> String {
        guard let string = value.string else { throw error("expected a text") }
        return string
    }

    func strings() throws(TaskError) -> [String] {
        if let word = value.string { return [word] }
        return try elements().map { node throws(TaskError) in try node.string() }
    }

    func integer(atLeast least: Int) throws(TaskError) -> Int {
        guard let integer = value.integer, integer >= least else {
            throw error("expected a whole number, \(least) or more")
        }
        return integer
    }

    func bool() throws(TaskError) -> Bool {
        guard let bool = value.bool else { throw error("expected true or false") }
        return bool
    }
}
