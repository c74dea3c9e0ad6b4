import WinnowYAML

/// A task that cannot be run as it is written: which file, which line, which key, and what was expected.
public struct TaskError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    public let line: Int?
    /// `metric_list[0].metric`; empty for the task as a whole.
    public let path: String
    public let reason: String

    public var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        return "\(file)\(line.map { ":\($0)" } ?? ""): \(place)\(reason)"
    }
}
