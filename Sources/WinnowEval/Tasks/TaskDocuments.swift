import WinnowData
import WinnowJSON

/// The documents of a task's splits: JSON lists of objects, or one object a line.
struct TaskDocuments {
    /// What is scored.
    let scored: [JSONObject]
    /// What examples are taken from, nil where they are the ones that are scored.
    let examples: [JSONObject]
    /// Whether an example may be the very document that is scored, and is left out then.
    let examplesAreScored: Bool

    /// - Throws: ``TaskError`` naming file and line.
    init(_ task: EvaluationTask, read: (String) throws -> [UInt8]) throws {
        func documents(_ split: String) throws -> [JSONObject] {
            try (task.dataFiles[split] ?? []).flatMap { name in
                let path = TaskDocuments.path(name, beside: task.file)
                return try TaskDocuments.parse(read(path), path)
            }
        }
        let scoredSplit = task.testSplit ?? task.validationSplit ?? ""
        scored = try documents(scoredSplit)
        guard !scored.isEmpty else {
            throw TaskError(
                file: task.file, line: nil, path: "", reason: "the split '\(scoredSplit)' has no documents")
        }
        // Only a split that is named, and named alike, has the document itself taken out.
        examplesAreScored = task.examples.split == task.testSplit
        guard task.exampleCount > 0 else {
            examples = []
            return
        }
        var examples =
            try task.examples.split.map(documents) ?? task.examples.samples
            ?? (task.trainingSplit ?? task.validationSplit).map(documents) ?? scored
        if let indices = task.examples.indices {
            guard indices.allSatisfy(examples.indices.contains) else {
                throw TaskError(
                    file: task.file, line: nil, path: "fewshot_config.fewshot_indices",
                    reason: "there are \(examples.count) examples")
            }
            examples = indices.map { examples[$0] }
        }
        self.examples = examples
        let needed = task.exampleCount + (examplesAreScored ? 1 : 0)
        guard examples.count >= needed else {
            throw TaskError(
                file: task.file, line: nil, path: "num_fewshot",
                reason: "\(task.exampleCount) examples need \(needed) documents; there are \(examples.count)")
        }
    }

    /// A name as it stands when it is absolute, else beside the file that names it.
    static func path(_ name: String, beside file: String) -> String {
        guard !name.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return name }
        return file[...slash] + name
    }

    private static func parse(_ bytes: [UInt8], _ file: String) throws -> [JSONObject] {
        func fail(_ line: Int?, _ reason: String) -> TaskError {
            TaskError(file: file, line: line, path: "", reason: reason)
        }
        if bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "[") {
            let value: JSONValue
            do { value = try JSONValue(parsing: bytes) } catch { throw fail(nil, "\(error)") }
            return try (value.array ?? []).map {
                guard let object = $0.object else { throw fail(nil, "expected a list of objects") }
                return object
            }
        }
        var documents: [JSONObject] = []
        for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        where line.contains(where: { $0 > 0x20 }) {
            do {
                guard let object = try JSONValue(parsing: Array(line)).object else {
                    throw fail(index + 1, "expected an object")
                }
                documents.append(object)
            } catch let error as JSONError { throw fail(index + 1, "\(error)") }
        }
        return documents
    }
}
