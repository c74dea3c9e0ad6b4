import WinnowJSON
import Yams

/// One YAML document as a JSON value, with the line each value stands on.
///
/// Plain scalars are read by YAML 1.2's core schema: `2:4` and `yes` are strings (YAML 1.1 makes them 124 and
/// true), `true`, `~`, `0x1F` and `1e-4` are what they look like. JSON is YAML and is read too. Tags other than
/// `!!str` and keys that are no scalars are refused; a repeated key is an error, and so is a text
/// whose aliases unfold to more than ``nodeLimit`` values.
public struct YAMLDocument: Sendable {
    public let file: String
    public let value: JSONValue
    private let lines: [YAMLPath: Int]

    /// Values that one document may hold once its aliases are followed.
    public static let nodeLimit = 100_000
    /// Levels of nesting that one document may have.
    public static let depthLimit = 64
    /// Bytes that one document may have.
    public static let byteLimit = 4 << 20

    /// - Parameter file: named in errors.
    /// - Throws: ``YAMLError``.
    public init(parsing text: String, file: String) throws(YAMLError) {
        self.file = file
        guard text.utf8.count <= YAMLDocument.byteLimit else {
            throw YAMLError(
                file: file, line: nil, reason: "more than \(YAMLDocument.byteLimit) bytes of YAML")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text, .basic, .default, .utf8)
        } catch {
            throw YAMLError(error, file: file)
        }
        var reader = NodeReader(file: file)
        value = try root.map { node throws(YAMLError) in try reader.value(of: node, at: YAMLPath()) } ?? .null
        lines = reader.lines
    }

    /// - Throws: ``YAMLError`` for bytes that are no UTF-8, or no YAML.
    public init(parsing bytes: [UInt8], file: String) throws(YAMLError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw YAMLError(file: file, line: nil, reason: "text that is not UTF-8")
        }
        try self.init(parsing: text, file: file)
    }

    /// The line, counted from 1, of the value at a path or, where there is none, of the closest value around it.
    public func line(of path: YAMLPath) -> Int? {
        var steps = path.steps
        while true {
            if let line = lines[YAMLPath(steps)] { return line }
            guard steps.popLast() != nil else { return nil }
        }
    }
}

/// Where a value stands in a document, written as `phases[1].sparsity`.
public struct YAMLPath: Hashable, Sendable, CustomStringConvertible {
    public enum Step: Hashable, Sendable {
        case key(String)
        case index(Int)
    }

    public let steps: [Step]

    public init(_ steps: [Step] = []) { self.steps = steps }

    public func appending(_ key: String) -> YAMLPath { YAMLPath(steps + [.key(key)]) }
    public func appending(_ index: Int) -> YAMLPath { YAMLPath(steps + [.index(index)]) }

    public var description: String {
        steps.reduce(into: "") { text, step in
            switch step {
            case .key(let key): text += text.isEmpty ? key : ".\(key)"
            case .index(let index): text += "[\(index)]"
            }
        }
    }
}

/// A text that is no YAML, or no YAML that Winnow reads.
public struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// Counted from 1; nil where the text as a whole is meant.
    public let line: Int?
    public let reason: String

    public init(file: String, line: Int?, reason: String) {
        self.file = file
        self.line = line
        self.reason = reason
    }

    public var description: String { "\(file)\(line.map { ":\($0)" } ?? ""): \(reason)" }
}

extension YAMLError {
    init(_ error: any Error, file: String) {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let around = context.map { "\($0.text): " } ?? ""
            self.init(file: file, line: mark.line, reason: around + problem)
        case .reader(let problem, _, _, _): self.init(file: file, line: nil, reason: problem)
        case .duplicatedKeysInMapping(let keys, let context):
            self.init(
                file: file, line: context.mark.line,
                reason: "the key \(keys.map { "'\($0)'" }.joined(separator: ", ")) stands twice")
        default: self.init(file: file, line: nil, reason: "\(error)")
        }
    }
}
