import WinnowCompress
import WinnowJSON
import WinnowYAML

/// A recipe that cannot be followed: which file, which line, which key, and what was expected.
public struct RecipeError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    public let line: Int?
    /// `phases[1].sparsity`; empty for the recipe as a whole.
    public let path: String
    public let reason: String

    public var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        return "\(file)\(line.map { ":\($0)" } ?? ""): \(place)\(reason)"
    }
}

/// A value of a recipe, and where it stands.
struct RecipeNode {
    let document: YAMLDocument
    let path: YAMLPath
    let value: JSONValue

    init(_ document: YAMLDocument) {
        self.document = document
        path = YAMLPath()
        value = document.value
    }

    private init(_ document: YAMLDocument, _ path: YAMLPath, _ value: JSONValue) {
        self.document = document
        self.path = path
        self.value = value
    }

    func error(_ reason: String) -> RecipeError {
        RecipeError(file: document.file, line: document.line(of: path), path: "\(path)", reason: reason)
    }

    /// The keys of a mapping, in their order.
    func keys() throws(RecipeError) -> [String] {
        guard let object = value.object else { throw error("expected a mapping of keys to values") }
        return object.keys
    }

    func elements() throws(RecipeError) -> [RecipeNode] {
        guard let array = value.array else { throw error("expected a list") }
        return array.enumerated().map { RecipeNode(document, path.appending($0.offset), $0.element) }
    }

    /// - Returns: nil where the key is missing or null.
    subscript(key: String) -> RecipeNode? {
        guard let found = value[key], !found.isNull else { return nil }
        return RecipeNode(document, path.appending(key), found)
    }

    /// What a path leads to, there or not: for errors.
    func child(_ path: String) -> RecipeNode {
        path.split(separator: ".").reduce(self) { node, key in
            let key = String(key)
            return RecipeNode(document, node.path.appending(key), node.value[key] ?? .null)
        }
    }

    func refuseOthers(than known: [String]) throws(RecipeError) {
        for key in try keys() where !known.contains(key) {
            throw child(key).error("there is no such key; there are \(known.joined(separator: ", "))")
        }
    }

    func read<Value: ConfigurationValue>(_ type: Value.Type = Value.self) throws(RecipeError) -> Value {
        guard let value = Value(json: value) else {
            throw error("\(self.value.text()) is not \(Value.expectation)")
        }
        return value
    }

    /// Sets a value where the key is given.
    func read<Value: ConfigurationValue>(_ key: String, into value: inout Value) throws(RecipeError) {
        if let node = self[key] { value = try node.read() }
    }

    func strings() throws(RecipeError) -> [String] {
        if let word = value.string { return [word] }
        return try elements().map { node throws(RecipeError) in try node.read(String.self) }
    }

    /// Runs something of another room, and says where the recipe asked for it.
    func naming<Result>(_ body: () throws -> Result) throws(RecipeError) -> Result {
        do { return try body() } catch let error as RecipeError { throw error } catch {
            throw self.error("\(error)")
        }
    }

    /// The mapping without some of its keys.
    func object(without keys: [String]) -> JSONObject {
        JSONObject((value.object?.pairs ?? []).filter { !keys.contains($0.key) }.map { ($0.key, $0.value) })
    }
}
