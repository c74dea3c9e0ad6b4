import WinnowJSON

/// What a model's file says of the model itself: name, author, licence, tags, where it came from.
///
/// The keys are GGUF's (`general.license`). A folder has no place of its own for them: they stand in
/// `winnow.metadata` of its `config.json`. Kept are texts, lists of texts, and the counts that numbered keys
/// (`general.base_model.0.name`) hang on; what describes the file rather than the model is not.
public struct GeneralMetadata: Sendable, Equatable {
    public enum Value: Sendable, Equatable {
        case text(String)
        case texts([String])
        case count(Int)
    }

    private var object = JSONObject()

    public init() {}

    public var isEmpty: Bool { object.count == 0 }

    /// Keys in the order of the file.
    public var keys: [String] { object.keys }

    public subscript(key: String) -> Value? { object[key].flatMap { GeneralMetadata.value(key, $0) } }

    /// `general.name`, where there is one that is not empty.
    public var name: String? {
        guard case .text(let name) = self["general.name"], !name.isEmpty else { return nil }
        return name
    }

    /// Every writer of a GGUF file says these anew.
    private static let ofTheFile: Set<String> = ["general.architecture", "general.type"]

    private static func isKept(_ key: String) -> Bool {
        key.hasPrefix("general.") && !ofTheFile.contains(key)
    }

    private static func value(_ key: String, _ json: JSONValue) -> Value? {
        if let text = json.string { return .text(text) }
        if key.hasSuffix(".count") {
            guard let count = json.integer, UInt32(exactly: count) != nil else { return nil }
            return .count(count)
        }
        guard let list = json.array else { return nil }
        let texts = list.compactMap(\.string)
        return texts.count == list.count ? .texts(texts) : nil
    }

    // MARK: GGUF

    init(_ file: GGUFFile) throws(GGUFError) {
        for key in file.keys where GeneralMetadata.isKept(key) {
            if let text = file[key]?.string {
                object[key] = .string(text)
            } else if let texts = try file.strings(key) {
                object[key] = .array(texts.map { .string($0) })
            } else if key.hasSuffix(".count"), let count = file[key]?.integer, UInt32(exactly: count) != nil {
                object[key] = .integer(Int64(count))
            }
        }
    }

    // MARK: config.json

    /// - Throws: ``CheckpointError`` for a key or a value that no GGUF file of ours could have.
    init(_ config: JSONObject, file: String) throws(CheckpointError) {
        guard let written = config["winnow"]?["metadata"], !written.isNull else { return }
        func wrong(_ field: String, _ found: JSONValue, _ expected: String) -> CheckpointError {
            .wrongField(file: file, field: field, found: String(found.text().prefix(40)), expected: expected)
        }
        guard let pairs = written.object?.pairs else { throw wrong("winnow.metadata", written, "an object") }
        for (key, value) in pairs {
            let field = "winnow.metadata.\(key)"
            guard GeneralMetadata.isKept(key) else {
                throw wrong(field, value, "a key that begins with general. and is not of the file itself")
            }
            guard GeneralMetadata.value(key, value) != nil else {
                throw wrong(
                    field, value,
                    "a text, a list of texts, or a whole number under a key that ends with .count")
            }
            object[key] = value
        }
    }

    /// As `winnow.metadata`; nil when there is nothing to say.
    var json: JSONValue? { isEmpty ? nil : .object(object) }
}
